"""A device's runtime: glibc's loader and libraries, CPython, numpy and wheels in a folder that needs only a kernel.

Android has no glibc and no Python, so the folder brings both, from Debian's packages for the device's ABI; it starts as
`lib/<loader> --library-path lib bin/python3`. numpy is Debian's as well, linked to the reference BLAS.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from device_runtime.formats.manifest import Version
from pipeline.errors import PackageError
from pipeline.packing import debian
from pipeline.packing.abi import Abi
from pipeline.packing.pins import fetch_pinned, pins_of
from pipeline.packing.runtime import (
    PACKAGING,
    REQUIREMENTS,
    RULES,
    Rules,
    build_runtime,
    drop,
    install_wheels,
    read_rules,
    write_versions,
)
from pipeline.stages import key_of

NO_LAPACK = PACKAGING / "no_lapack.py"


def build_device(abi: Abi, build: Path) -> Path:
    """Makes build/runtime-<name>/ for devices of that ABI; what is there for the same pins and lists is kept.

    Raises:
      PackageError: this machine has no Debian sources to take the packages from.
      CommandError: apt-get, dpkg-deb or pip failed; the message carries what it said.
    """
    folder = build / f"runtime-{abi.name}"
    rules = read_rules()
    texts = [path.read_text() for path in (REQUIREMENTS, pins_of(abi), NO_LAPACK)]
    key = key_of(abi, texts, rules, debian.SUITE)
    build_runtime(folder, key, lambda temporary: _assemble(abi, temporary, rules))
    return folder


def _assemble(abi: Abi, folder: Path, rules: Rules) -> None:
    platforms = [f"{platform}_{abi.machine}" for platform in rules.platforms]
    versions = _add_debian(abi, folder, rules)
    versions |= install_wheels(folder, [REQUIREMENTS], rules.unused, platforms, rules.python)
    write_versions(folder, versions)


def _add_debian(abi: Abi, folder: Path, rules: Rules) -> dict[str, Version]:
    work = folder / "debian"
    versions, archives = fetch_pinned(abi, rules.packages, (work / "apt").resolve())
    debian.unpack(archives, work / "root")
    _copy_libraries(work / "root", folder / "lib", (abi.loader, *rules.libraries), f"{abi.machine}-linux-gnu")
    _copy_python(work / "root" / "usr", folder, rules)
    _copy_numpy(work / "root" / "usr" / "lib" / "python3" / "dist-packages", folder / "site-packages", rules)
    shutil.rmtree(work)
    return versions


def _copy_libraries(root: Path, folder: Path, libraries: Sequence[str], triplet: str) -> None:
    """Copies each library's content under the name that programs ask for: a package pushed by adb has no links."""
    folder.mkdir()
    places = [root / name for name in (f"usr/lib/{triplet}", f"usr/lib/{triplet}/blas", "usr/lib", "usr/lib64")]
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


def _copy_numpy(packages: Path, site_packages: Path, rules: Rules) -> None:
    # Links lead to the package of its headers, which is not here.
    shutil.copytree(packages / "numpy", site_packages / "numpy", ignore_dangling_symlinks=True)
    drop(site_packages / "numpy", rules.unused_numpy)
    shutil.copy(NO_LAPACK, site_packages / "numpy" / "linalg" / "_umath_linalg.py")
