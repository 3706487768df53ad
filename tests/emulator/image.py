"""The files of the emulated device and of the host tools beside it, built once and cached by content.

Writes `<cache>/image-<digest>/`: `<machine>/root/`, the root of devices of that ABI; `<machine>/tools-<version>/`,
their /system/bin as that version of Android; `host/`, what this machine runs (adb, qemu-aarch64).
The device's adbd and toybox need a glibc; theirs lies in adbd's own folder, where no other program looks for one.
"""

from __future__ import annotations

import fcntl
import hashlib
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.commands import run
from pipeline.errors import PackageError
from pipeline.files import new_folder
from pipeline.packing import debian
from pipeline.packing.abi import ABIS, ARM64, X86_64, Abi
from tests.emulator.android import OLD_TOOL, Android, androids

HERE = Path(__file__).parent
DEFAULT_CACHE = Path.home() / ".cache" / "train-on-device" / "emulator"
DEVICE_PACKAGES = ("adbd", "mksh", "toybox")
HOST_PACKAGES = ("adb:amd64", "qemu-user:amd64", "patchelf:amd64")
# Android's own programs, each a script of the same name here.
COMMANDS = ("getprop", "dumpsys", "settings")
SOURCES = (
    *("image.py", "../../pipeline/packing/debian.py", "../../pipeline/packing/abi.py"),
    *("android.py", "androids.toml", "old_tool.sh"),
    *(f"{command}.sh" for command in COMMANDS),
)
APEX = PurePosixPath("/apex/com.android.adbd")
MOUNT_POINTS = ("proc", "sys", "dev", "data/local/tmp", "system/bin")
SHELL_ID = 2000


@dataclass(frozen=True)
class Image:
    """What devices of one ABI run from; both folders are only read by them."""

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

    def tools(self, android: int) -> Path:
        """What that version of Android has in /system/bin."""
        return self.root.with_name(f"tools-{android}")

    @property
    def qemu(self) -> Path:
        """The statically linked user-mode emulator."""
        return self.host / "qemu-aarch64"

    def _with_own_libraries(self, program: str) -> list[str | Path]:
        libraries = self.host / "lib"
        return [libraries / "ld-linux-x86-64.so.2", "--library-path", libraries, self.host / program]


def image(cache: Path = DEFAULT_CACHE, abi: Abi = ARM64) -> Image:
    """The image of this version of the emulator; downloads (100 MB) and builds it when `cache` does not hold it yet.

    Args:
      cache: takes it, with that of the other ABIs.
      abi: of the device.

    Raises:
      PackageError: this machine is no x86-64 one, or has no Debian sources.
      CommandError: a download failed.
    """
    if platform.machine() != "x86_64":
        raise PackageError(f"the emulated device runs on x86_64 machines, and this one is {platform.machine()}")
    folder = cache / f"image-{_digest()}"
    with _only_one_builder(cache):
        if not folder.exists():
            with new_folder(folder) as temporary:
                _build(temporary)
    return _image_in(folder, abi)


def _image_in(folder: Path, abi: Abi) -> Image:
    return Image(folder / abi.machine / "root", folder / "host")


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
    # At once they do not go together: apt would see two of what there may be one.
    debian.download([f"{name}:{ARM64.debian}" for name in DEVICE_PACKAGES], work / "apt")
    archives = debian.download([*(f"{name}:{X86_64.debian}" for name in DEVICE_PACKAGES), *HOST_PACKAGES], work / "apt")
    for abi in ABIS:
        debian.unpack([path for path in archives if path.name.endswith(f"_{abi.debian}.deb")], work / abi.debian)
    _build_host(work / X86_64.debian / "usr", folder / "host")
    for abi in ABIS:
        built = _image_in(folder, abi)
        _build_root(work / abi.debian / "usr", built, abi)
        for number, android in androids().items():
            _build_tools(work / abi.debian / "usr", built, built.tools(number), android, abi)
        # The device's shell is another user, and this one's umask may keep files from others.
        run(["chmod", "-R", "a+rX", built.root.parent], timeout_s=60)
    (folder / "packages.txt").write_text("".join(f"{archive.name}\n" for archive in archives))
    shutil.rmtree(work)


def _build_host(unpacked: Path, host: Path) -> None:
    _copy_libraries(unpacked / "lib" / "x86_64-linux-gnu", host / "lib")
    shutil.copy(unpacked / "lib" / "android-sdk" / "platform-tools" / "adb", host)
    for program in ("qemu-aarch64", "patchelf"):
        shutil.copy(unpacked / "bin" / program, host)


def _build_root(unpacked: Path, built: Image, abi: Abi) -> None:
    apex = built.root / APEX.relative_to("/")
    for folder in (apex / "bin", built.root / "system" / "etc", *(built.root / name for name in MOUNT_POINTS)):
        folder.mkdir(parents=True)
    _copy_libraries(unpacked / "lib" / f"{abi.machine}-linux-gnu", apex / "lib64")
    shutil.copy(unpacked / "lib" / "android-sdk" / "platform-tools" / "adbd", apex / "bin")
    _relocate(apex / "bin" / "adbd", built, abi)
    shutil.copy(HERE / "old_tool.sh", built.root / OLD_TOOL.removeprefix("/"))
    (built.root / "system" / "build.prop").touch()
    (built.root / "data" / "system").mkdir()
    for name in ("battery", "settings"):
        (built.root / "data" / "system" / name).touch()
    # As on Android: Debian's adbd starts /bin/sh. There is no passwd in /etc, so nobody has a name or a HOME.
    (built.root / "bin").symlink_to("/system/bin")
    (built.root / "etc").symlink_to("/system/etc")


def _build_tools(unpacked: Path, built: Image, folder: Path, android: Android, abi: Abi) -> None:
    folder.mkdir()
    shutil.copy(unpacked / "lib" / f"{abi.machine}-linux-musl" / "bin" / "mksh", folder / "sh")
    shutil.copy(unpacked / "bin" / "toybox", folder)
    _relocate(folder / "toybox", built, abi)
    for command in COMMANDS:
        _write_program(folder / command, (HERE / f"{command}.sh").read_text())
    # What an Android lacks must fail here as it would on a phone.
    for tool in android.tools:
        script = android.script(tool)
        if script is None:
            (folder / tool).symlink_to("toybox")
        else:
            _write_program(folder / tool, script)


def _write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _copy_libraries(source: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for library in (*source.glob("*.so*"), *(source / "android").glob("*.so*")):
        shutil.copy(library, folder)


def _relocate(program: Path, built: Image, abi: Abi) -> None:
    paths = ["--set-interpreter", f"{APEX}/lib64/{abi.loader}", "--set-rpath", f"{APEX}/lib64"]
    # DT_RUNPATH, the default, would not hold for the libraries that these libraries need.
    run([*built.patchelf, "--force-rpath", *paths, program], timeout_s=60)
