"""The arm64 runtime: glibc's loader and libraries, CPython and the wheels, in a folder that needs only a Linux kernel.

Android has no glibc and no Python, so the folder brings both, from Debian's arm64 packages; it starts as
`lib/ld-linux-aarch64.so.1 --library-path lib bin/python3`.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from device_runtime.formats.manifest import Version
from pipeline import debian
from pipeline.commands import run
from pipeline.errors import PackageError
from pipeline.files import new_folder, sha256_of
from pipeline.runtime import REQUIREMENTS, UNUSED, drop, install_wheels, write_versions
from pipeline.stages import build_once, key_of

PYTHON = "3.13"
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")

PACKAGES = (
    "libc6",
    "libexpat1",
    "libffi8",
    "libgcc-s1",
    "libpython3.13-minimal",
    "libpython3.13-stdlib",
    "libstdc++6",
    "python3.13-minimal",
    "zlib1g",
)

# What the runner, numpy and onnxruntime load; a library that is missing here fails the runtime's own test.
LIBRARIES = (
    "ld-linux-aarch64.so.1",
    "libc.so.6",
    "libdl.so.2",
    "libexpat.so.1",
    "libffi.so.8",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
    "libstdc++.so.6",
    "libutil.so.1",
    "libz.so.1",
)

UNUSED_STDLIB = (
    "__pycache__",
    "**/__pycache__",
    "_pyrepl",
    "asyncio",
    "concurrent",
    "config-*",
    "curses",
    "dbm",
    "ensurepip",
    "html",
    "http",
    "idlelib",
    "lib2to3",
    "multiprocessing",
    "pydoc*",
    "sqlite3",
    "test",
    "tkinter",
    "turtle*",
    "unittest",
    "venv",
    "wsgiref",
    "xml",
    "xmlrpc",
    "lib-dynload/_asyncio*",
    "lib-dynload/_codecs_*",
    "lib-dynload/_crypt*",
    "lib-dynload/_ctypes_test*",
    "lib-dynload/_curses*",
    "lib-dynload/_dbm*",
    "lib-dynload/_gdbm*",
    "lib-dynload/_hashlib*",
    "lib-dynload/_interp*",
    "lib-dynload/_lzma*",
    "lib-dynload/_bz2*",
    "lib-dynload/_multiprocessing*",
    "lib-dynload/_sqlite3*",
    "lib-dynload/_ssl*",
    "lib-dynload/_test*",
    "lib-dynload/_tkinter*",
    "lib-dynload/_uuid*",
    "lib-dynload/_xx*",
    "lib-dynload/_zoneinfo*",
    "lib-dynload/ossaudiodev*",
    "lib-dynload/readline*",
    "lib-dynload/xx*",
)


def build_arm64(build: Path) -> Path:
    """Makes build/runtime-arm64/; what is there for the same pins and lists is kept.

    Raises:
      PackageError: this machine has no Debian sources to take the packages from.
      CommandError: apt-get, dpkg-deb or pip failed; the message carries what it said.
    """
    folder = build / "runtime-arm64"
    rules = (PACKAGES, LIBRARIES, UNUSED_STDLIB, UNUSED, PLATFORMS, debian.SUITE)
    key = key_of("arm64", REQUIREMENTS.read_text(), rules)
    build_once(folder, key, lambda: _assemble(folder))
    return folder


def _assemble(folder: Path) -> None:
    with new_folder(folder) as temporary:
        versions = _add_debian(temporary)
        versions |= install_wheels(temporary, PLATFORMS, PYTHON)
        write_versions(temporary, versions)


def _add_debian(folder: Path) -> dict[str, Version]:
    work = folder / "debian"
    archives = _chosen(debian.download([f"{name}:arm64" for name in PACKAGES], (work / "apt").resolve()))
    debian.unpack(archives, work / "root")
    usr = work / "root" / "usr"
    (folder / "lib").mkdir()
    (folder / "bin").mkdir()
    for library in LIBRARIES:
        found = _find(usr, work / "root", library)
        # The content under the name that programs ask for: a package pushed by adb has no links.
        shutil.copy(found, folder / "lib" / library)
    shutil.copy(usr / "bin" / f"python{PYTHON}", folder / "bin" / "python3")
    stdlib = folder / "lib" / f"python{PYTHON}"
    shutil.copytree(usr / "lib" / f"python{PYTHON}", stdlib, symlinks=False, ignore_dangling_symlinks=True)
    drop(stdlib, UNUSED_STDLIB)
    versions = {_field(archive, "Package"): Version(_field(archive, "Version"), sha256_of(archive)) for archive in archives}
    shutil.rmtree(work)
    return versions


def _chosen(archives: Sequence[Path]) -> list[Path]:
    """The archives of PACKAGES: apt also fetches what they depend on for an installation, such as configuration."""
    by_name = {archive.name.split("_")[0]: archive for archive in archives}
    missing = [name for name in PACKAGES if name not in by_name]
    if missing:
        raise PackageError(f"apt-get did not bring {', '.join(missing)} for arm64 from {debian.SUITE}")
    return [by_name[name] for name in PACKAGES]


def _find(usr: Path, root: Path, library: str) -> Path:
    for folder in (usr / "lib" / "aarch64-linux-gnu", root / "lib" / "aarch64-linux-gnu", usr / "lib", root / "lib"):
        if (folder / library).is_file():
            return folder / library
    raise PackageError(f"no Debian package of {', '.join(PACKAGES)} holds {library}")


def _field(archive: Path, name: str) -> str:
    return run(["dpkg-deb", "--field", archive, name], timeout_s=60).strip()
