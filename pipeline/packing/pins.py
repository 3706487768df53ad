"""Debian's packages by version and SHA-256, as packaging/debian-arm64.toml records them.

Debian's mirrors drop a version when they get the next: then the next is taken, and said to be.
"""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from device_runtime.formats.manifest import Version
from pipeline.errors import PackageError, brief
from pipeline.files import new_file, sha256_of
from pipeline.packing import debian
from pipeline.packing.runtime import PACKAGING, RULES, read_rules
from pipeline.progress import note

PINS = PACKAGING / "debian-arm64.toml"
HEADER = "# Debian's arm64 packages of the runtime: `invoke pins` writes this file, runtime.toml names them.\n"


def read_pins() -> dict[str, Version]:
    """Reads packaging/debian-arm64.toml.

    Raises:
      PackageError: it cannot be read.
    """
    try:
        return {name: Version(**pin) for name, pin in tomllib.loads(PINS.read_text()).items()}
    except (OSError, ValueError, TypeError) as error:
        raise PackageError(f"{PINS} cannot be read ({error}): delete it and run `invoke pins`") from error


def fetch_pinned(packages: Sequence[str], state: Path) -> tuple[dict[str, Version], list[Path]]:
    """Fetches `packages` for arm64; returns what they are, and the archives.

    Where the mirror has the pinned version no more, the newest one is taken, and a line says so.

    Args:
      packages: Debian's names.
      state: a folder for apt's lists and archives.

    Raises:
      PackageError: a package has no pin, the mirror does not have it, or its content is not what is pinned.
      CommandError: the mirror cannot be reached.
    """
    pins = read_pins()
    unpinned = [name for name in packages if name not in pins]
    if unpinned:
        raise PackageError(f"{PINS} does not pin {', '.join(unpinned)}: run `invoke pins`")
    offered = _offered(packages, state)
    chosen = {name: pins[name] if _has(offered[name], pins[name]) else offered[name][0] for name in packages}
    if replaced := changes({name: pins[name] for name in packages}, chosen):
        note(f"Debian replaced {', '.join(replaced)}: run `invoke pins` to record it")
    archives = debian.fetch({f"{name}:arm64": version.version for name, version in chosen.items()}, state)
    check_digests(chosen, archives)
    return chosen, archives


def renew() -> list[str]:
    """Writes the newest versions that the mirror has into packaging/debian-arm64.toml; returns what changed.

    Raises:
      PackageError: the mirror does not have a package.
      CommandError: it cannot be reached.
    """
    with tempfile.TemporaryDirectory() as state:
        packages = read_rules().packages
        newest = {name: versions[0] for name, versions in _offered(packages, Path(state)).items()}
    lines = [f'"{name}" = {{ version = "{pin.version}", sha256 = "{pin.sha256}" }}\n' for name, pin in newest.items()]
    before = read_pins() if PINS.exists() else {}
    with new_file(PINS) as temporary:
        temporary.write_text(HEADER + "".join(lines))
    return changes(before, newest)


def changes(before: Mapping[str, Version], after: Mapping[str, Version]) -> list[str]:
    """What differs, as `libc6 2.41-12 by 2.41-13`; a package that came or went has `nothing` on the other side."""
    nothing = Version("nothing", "")
    both = [(name, before.get(name, nothing), after.get(name, nothing)) for name in sorted({*before, *after})]
    return [f"{name} {old.version} by {new.version}" for name, old, new in both if old != new]


def check_digests(expected: Mapping[str, Version], archives: Sequence[Path]) -> None:
    """Compares the archives, named as apt names them, with their digests.

    Raises:
      PackageError: some are something else, or are missing.
    """
    digests = {archive.name.partition("_")[0]: sha256_of(archive) for archive in archives}
    wrong = [f"{name} {version.version}" for name, version in expected.items() if digests.get(name) != version.sha256]
    if wrong:
        raise PackageError(
            f"{', '.join(wrong)} of this mirror has another SHA-256 than {PINS} pins: "
            f"set {debian.MIRROR_VARIABLE} to a mirror of Debian's own packages"
        )


def _offered(packages: Sequence[str], state: Path) -> dict[str, list[Version]]:
    """Versions of each package, the newest first, in the order of `packages`."""
    offered = debian.offered([f"{name}:arm64" for name in packages], state)
    missing = [name for name in packages if name not in offered]
    if missing:
        raise PackageError(
            f"the mirror has no {brief(missing)} for arm64 in {debian.SUITE}: "
            f"correct the packages in {RULES} or set {debian.MIRROR_VARIABLE} to a whole mirror"
        )
    return {name: offered[name] for name in packages}


def _has(offered: Sequence[Version], pin: Version) -> bool:
    return any(version.version == pin.version for version in offered)
