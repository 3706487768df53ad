"""The files of the emulated device and of the host tools beside it, built once and cached by content.

Writes `<cache>/image-<digest>/`: `root/`, the device's root; `host/`, what this machine runs (adb, qemu-aarch64).
The device's adbd and toybox need a glibc; theirs lies in adbd's own folder, where no other program looks for one.
"""

from __future__ import annotations

import fcntl
import hashlib
import platform
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.commands import run
from pipeline.errors import PackageError
from pipeline.files import new_folder
from pipeline.packing import debian

HERE = Path(__file__).parent
DEFAULT_CACHE = Path.home() / ".cache" / "train-on-device" / "emulator"
PACKAGES = ("adbd:arm64", "mksh:arm64", "toybox:arm64", "adb:amd64", "qemu-user:amd64", "patchelf:amd64")
SOURCES = (
    "image.py",
    "../../pipeline/packing/debian.py",
    "android_tools.txt",
    "getprop.sh",
    "dumpsys.sh",
    "settings.sh",
)
APEX = PurePosixPath("/apex/com.android.adbd")
MOUNT_POINTS = ("proc", "sys", "dev", "data/local/tmp")
SHELL_ID = 2000
PASSWD = f"root:x:0:0:root:/:/system/bin/sh\nshell:x:{SHELL_ID}:{SHELL_ID}:shell:/:/system/bin/sh\n"
GROUP = f"root:x:0:\nshell:x:{SHELL_ID}:\n"


@dataclass(frozen=True)
class Image:
    """A built image; both folders are only read by the devices that run from it."""

    root: Path
    host: Path

    @property
    def adb(self) -> list[str | Path]:
        """The start of every adb command line: the loader and the libraries that adb was built for come with it."""
        return self._with_own_libraries("adb")

    @property
    def patchelf(self) -> list[str | Path]:
        """The start of every patchelf command line."""
        return self._with_own_libraries("patchelf")

    @property
    def qemu(self) -> Path:
        """The statically linked user-mode emulator."""
        return self.host / "qemu-aarch64"

    def _with_own_libraries(self, program: str) -> list[str | Path]:
        libraries = self.host / "lib"
        return [libraries / "ld-linux-x86-64.so.2", "--library-path", libraries, self.host / program]


def image(cache: Path = DEFAULT_CACHE) -> Image:
    """The image of this version of the emulator; downloads (90 MB) and builds it when `cache` does not hold it yet.

    Raises:
      PackageError: this machine is no x86-64 one, or has no Debian sources.
      CommandError: a download failed.
    """
    if platform.machine() != "x86_64":
        raise PackageError(f"the emulated device runs on x86_64 machines, and this one is {platform.machine()}")
    folder = cache / f"image-{_digest()}"
    built = Image(folder / "root", folder / "host")
    with _only_one_builder(cache):
        if not folder.exists():
            with new_folder(folder) as temporary:
                _build(temporary)
    return built


def _digest() -> str:
    sources = b"".join((HERE / name).read_bytes() for name in SOURCES)
    return hashlib.sha256(sources).hexdigest()[:16]


@contextmanager
def _only_one_builder(cache: Path) -> Iterator[None]:
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(folder: Path) -> None:
    work = folder / "work"
    archives = debian.download(PACKAGES, work / "apt")
    debian.unpack([archive for archive in archives if archive.name.endswith("_arm64.deb")], work / "arm64")
    debian.unpack([archive for archive in archives if archive.name.endswith("_amd64.deb")], work / "amd64")
    built = Image(folder / "root", folder / "host")
    _build_host(work / "amd64" / "usr", built.host)
    _build_root(work / "arm64" / "usr", built)
    # The device's shell is another user, and this one's umask may keep files from others.
    run(["chmod", "-R", "a+rX", built.root], timeout_s=60)
    (folder / "packages.txt").write_text("".join(f"{archive.name}\n" for archive in archives))
    shutil.rmtree(work)


def _build_host(unpacked: Path, host: Path) -> None:
    _copy_libraries(unpacked / "lib" / "x86_64-linux-gnu", host / "lib")
    shutil.copy(unpacked / "lib" / "android-sdk" / "platform-tools" / "adb", host)
    for program in ("qemu-aarch64", "patchelf"):
        shutil.copy(unpacked / "bin" / program, host)


def _build_root(unpacked: Path, built: Image) -> None:
    programs = built.root / "system" / "bin"
    apex = built.root / APEX.relative_to("/")
    for folder in (
        programs,
        apex / "bin",
        built.root / "system" / "etc",
        *(built.root / name for name in MOUNT_POINTS),
    ):
        folder.mkdir(parents=True)
    _copy_libraries(unpacked / "lib" / "aarch64-linux-gnu", apex / "lib64")
    shutil.copy(unpacked / "lib" / "android-sdk" / "platform-tools" / "adbd", apex / "bin")
    shutil.copy(unpacked / "lib" / "aarch64-linux-musl" / "bin" / "mksh", programs / "sh")
    shutil.copy(unpacked / "bin" / "toybox", programs)
    _relocate([apex / "bin" / "adbd", programs / "toybox"], built)
    for tool in ("getprop", "dumpsys", "settings"):
        shutil.copy(HERE / f"{tool}.sh", programs / tool)
        (programs / tool).chmod(0o755)
    _link_tools(programs)
    _write_system_files(built.root)


def _copy_libraries(source: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for library in (*source.glob("*.so*"), *(source / "android").glob("*.so*")):
        shutil.copy(library, folder)


def _relocate(programs: Sequence[Path], built: Image) -> None:
    for program in programs:
        paths = ["--set-interpreter", f"{APEX}/lib64/ld-linux-aarch64.so.1", "--set-rpath", f"{APEX}/lib64"]
        # DT_RUNPATH, the default, would not hold for the libraries that these libraries need.
        run([*built.patchelf, "--force-rpath", *paths, program], timeout_s=60)


def _link_tools(programs: Path) -> None:
    # The tools that both Android's toybox and Debian's have: what Android lacks must fail here as it would on a phone.
    for name in (HERE / "android_tools.txt").read_text().split():
        (programs / name).symlink_to("toybox")


def _write_system_files(root: Path) -> None:
    (root / "system" / "etc" / "passwd").write_text(PASSWD)
    (root / "system" / "etc" / "group").write_text(GROUP)
    (root / "system" / "build.prop").touch()
    (root / "data" / "system").mkdir()
    for name in ("battery", "settings"):
        (root / "data" / "system" / name).touch()
    # As on Android: Debian's adbd starts /bin/sh, and glibc looks the user's name up in /etc.
    (root / "bin").symlink_to("/system/bin")
    (root / "etc").symlink_to("/system/etc")
