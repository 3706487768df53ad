"""The arm64 runtime: glibc's loader and libraries, CPython and the wheels, in a folder that needs only a Linux kernel.

Android has no glibc and no Python, so the folder brings both, from Debian's arm64 packages; it starts as
`lib/ld-linux-aarch64.so.1 --library-path lib bin/python3`.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from device_runtime.formats.manifest import Version
from pipeline.commands import run
from pipeline.errors import PackageError
from pipeline.files import new_folder, sha256_of
from pipeline.packing import debian
from pipeline.packing.runtime import REQUIREMENTS, RULES, Rules, drop, install_wheels, read_rules, write_versions
from pipeline.stages import build_once, key_of


def build_arm64(build: Path) -> Path:
    """Makes build/runtime-arm64/; what is there for the same pins and lists is kept.

    Raises:
      PackageError: this machine has no Debian sources to take the packages from.
      CommandError: apt-get, dpkg-deb or pip failed; the message carries what it said.
    """
    folder = build / "runtime-arm64"
    rules = read_rules()
    key = key_of("arm64", REQUIREMENTS.read_text(), rules, debian.SUITE)
    build_once(folder, key, lambda: _assemble(folder, rules))
    return folder


def _assemble(folder: Path, rules: Rules) -> None:
    with new_folder(folder) as temporary:
        versions = _add_debian(temporary, rules)
        versions |= install_wheels(temporary, rules.unused, rules.platforms, rules.python)
        write_versions(temporary, versions)


def _add_debian(folder: Path, rules: Rules) -> dict[str, Version]:
    work = folder / "debian"
    downloaded = debian.download([f"{name}:arm64" for name in rules.packages], (work / "apt").resolve())
    archives = _chosen(downloaded, rules.packages)
    debian.unpack(archives, work / "root")
    _copy_libraries(work / "root", folder / "lib", rules.libraries)
    _copy_python(work / "root" / "usr", folder, rules)
    versions = {
        _field(archive, "Package"): Version(_field(archive, "Version"), sha256_of(archive)) for archive in archives
    }
    shutil.rmtree(work)
    return versions


def _chosen(archives: Sequence[Path], packages: Sequence[str]) -> list[Path]:
    """The archives of `packages`: apt also fetches what they depend on for an installation, such as configuration."""
    by_name = {archive.name.split("_")[0]: archive for archive in archives}
    missing = [name for name in packages if name not in by_name]
    if missing:
        raise PackageError(
            f"apt-get did not bring {', '.join(missing)} for arm64 from {debian.SUITE}: "
            f"correct the packages in {RULES} or set {debian.MIRROR_VARIABLE} to a whole mirror"
        )
    return [by_name[name] for name in packages]


def _copy_libraries(root: Path, folder: Path, libraries: Sequence[str]) -> None:
    """Copies each library's content under the name that programs ask for: a package pushed by adb has no links."""
    folder.mkdir()
    places = [root / place for place in ("usr/lib/aarch64-linux-gnu", "lib/aarch64-linux-gnu", "usr/lib", "lib")]
    found = {name: next((p / name for p in places if (p / name).is_file()), None) for name in libraries}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise PackageError(f"no Debian package listed in {RULES} holds {', '.join(missing)}: add the one that does")
    for name, path in found.items():
        if path is not None:
            shutil.copy(path, folder / name)


def _copy_python(usr: Path, folder: Path, rules: Rules) -> None:
    name = f"python{rules.python}"
    (folder / "bin").mkdir()
    shutil.copy(usr / "bin" / name, folder / "bin" / "python3")
    shutil.copytree(usr / "lib" / name, folder / "lib" / name, ignore_dangling_symlinks=True)
    drop(folder / "lib" / name, rules.unused_stdlib)


def _field(archive: Path, name: str) -> str:
    return run(["dpkg-deb", "--field", archive, name], timeout_s=60).strip()
