"""Debian's packages by version and SHA-256, as packaging/debian-<architecture>.toml records them.

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
from pipeline.packing.abi import ABIS, Abi
from pipeline.packing.runtime import PACKAGING, RULES, read_rules
from pipeline.progress import note

HEADER = "# Debian's {} packages of the runtime: `invoke pins` writes this file, runtime.toml names them.\n"


def pins_of(abi: Abi) -> Path:
    """The file that pins an ABI's packages."""
    return PACKAGING / f"debian-{abi.debian}.toml"


def read_pins(abi: Abi) -> dict[str, Version]:
    """Reads packaging/debian-<architecture>.toml.

    Raises:
      PackageError: it cannot be read.
    """
    try:
        return {name: Version(**pin) for name, pin in tomllib.loads(pins_of(abi).read_text()).items()}
    except (OSError, ValueError, TypeError) as error:
        raise PackageError(f"{pins_of(abi)} cannot be read ({error}): delete it and run `invoke pins`") from error


def fetch_pinned(abi: Abi, packages: Sequence[str], state: Path) -> tuple[dict[str, Version], list[Path]]:
    """Fetches `packages` for that ABI; returns what they are, and the archives.

    Where the mirror has the pinned version no more, the newest one is taken, and a line says so.

    Args:
      abi: of the device.
      packages: Debian's names.
      state: a folder for apt's lists and archives.

    Raises:
      PackageError: a package has no pin, the mirror does not have it, or its content is not what is pinned.
      CommandError: the mirror cannot be reached.
    """
    pins = read_pins(abi)
    unpinned = [name for name in packages if name not in pins]
    if unpinned:
        raise PackageError(f"{pins_of(abi)} does not pin {', '.join(unpinned)}: run `invoke pins`")
    offered = _offered(abi, packages, state)
    chosen = {name: pins[name] if _has(offered[name], pins[name]) else offered[name][0] for name in packages}
    if replaced := changes({name: pins[name] for name in packages}, chosen):
        note(f"Debian replaced {', '.join(replaced)}: run `invoke pins` to record it")
    archives = debian.fetch({f"{name}:{abi.debian}": version.version for name, version in chosen.items()}, state)
    check_digests(pins_of(abi), chosen, archives)
    return chosen, archives


def renew() -> list[str]:
    """Writes the newest versions that the mirror has into the files of pins of all ABIs; returns what changed.

    Raises:
      PackageError: the mirror does not have a package: no file has changed then.
      CommandError: it cannot be reached.
    """
    with tempfile.TemporaryDirectory() as state:
        offered = {abi: _offered(abi, read_rules().packages, Path(state)) for abi in ABIS}
    newest = {abi: {name: versions[0] for name, versions in of_abi.items()} for abi, of_abi in offered.items()}
    return [f"{abi.debian}: {line}" for abi, pins in newest.items() for line in _write(abi, pins)]


def _write(abi: Abi, pins: Mapping[str, Version]) -> list[str]:
    path = pins_of(abi)
    before = read_pins(abi) if path.exists() else {}
    lines = [f'"{name}" = {{ version = "{pin.version}", sha256 = "{pin.sha256}" }}\n' for name, pin in pins.items()]
    with new_file(path) as temporary:
        temporary.write_text(HEADER.format(abi.debian) + "".join(lines))
    return changes(before, pins)


def changes(before: Mapping[str, Version], after: Mapping[str, Version]) -> list[str]:
    """What differs, as `libc6 2.41-12 by 2.41-13`; a package that came or went has `nothing` on the other side."""
    nothing = Version("nothing", "")
    both = [(name, before.get(name, nothing), after.get(name, nothing)) for name in sorted({*before, *after})]
    return [f"{name} {old.version} by {new.version}" for name, old, new in both if old != new]


def check_digests(pins: Path, expected: Mapping[str, Version], archives: Sequence[Path]) -> None:
    """Compares the archives, named as apt names them, with their digests.

    Args:
      pins: the file that the digests are of.
      expected: versions and digests by name.
      archives: all of these packages.

    Raises:
      PackageError: some are something else, or are missing.
    """
    digests = {archive.name.partition("_")[0]: sha256_of(archive) for archive in archives}
    wrong = [f"{name} {version.version}" for name, version in expected.items() if digests.get(name) != version.sha256]
    if wrong:
        raise PackageError(
            f"{', '.join(wrong)} of this mirror has another SHA-256 than {pins} pins: "
            f"set {debian.MIRROR_VARIABLE} to a mirror of Debian's own packages"
        )


def _offered(abi: Abi, packages: Sequence[str], state: Path) -> dict[str, list[Version]]:
    """Versions of each package, the newest first, in the order of `packages`."""
    offered = debian.offered([f"{name}:{abi.debian}" for name in packages], state)
    missing = [name for name in packages if name not in offered]
    if missing:
        raise PackageError(
            f"the mirror has no {brief(missing)} for {abi.debian} in {debian.SUITE}: "
            f"correct the packages in {RULES} or set {debian.MIRROR_VARIABLE} to a whole mirror"
        )
    return {name: offered[name] for name in packages}


def _has(offered: Sequence[Version], pin: Version) -> bool:
    return any(version.version == pin.version for version in offered)
