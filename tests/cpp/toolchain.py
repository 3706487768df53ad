"""Debian's compilers and ONNX Runtime for arm64 in a root of their own, unpacked once and cached by what it is made of.

Nothing is installed on this machine: what is compiled is compiled in that root, by chroot.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.commands import run
from pipeline.files import new_folder
from pipeline.packing import debian
from pipeline.packing.abi import ARM64
from tests.invoking import ROOT

CACHE = Path.home() / ".cache" / "train-on-device"
PREFIX = f"{ARM64.machine}-linux-gnu"
PACKAGES = ("g++-aarch64-linux-gnu:amd64", "cmake:amd64", "make:amd64", f"libonnxruntime-dev:{ARM64.debian}")
# What a program in there takes for given.
SYSTEM = ("base-files:amd64", "dash:amd64", "coreutils:amd64")
CROSS = ("-DCMAKE_SYSTEM_NAME=Linux", f"-DCMAKE_CXX_COMPILER={PREFIX}-g++")
COMPILE_TIMEOUT_S = 600


@dataclass(frozen=True)
class Toolchain:
    """The compilers; `work` is a folder in their root, which they see as `/work/<name>`."""

    root: Path
    work: Path

    def run(self, *words: str | Path) -> str:
        """Runs a program in the folder."""
        inside = [f"/work/{self.work.name}", *words]
        # Of coreutils, env changes into the folder that it is given.
        return run(["chroot", self.root, "/usr/bin/env", "-C", *inside], timeout_s=COMPILE_TIMEOUT_S)

    def build(self) -> Path:
        """Cross-compiles examples/cpp as its page says."""
        shutil.copytree(ROOT / "examples" / "cpp", self.work / "examples" / "cpp")
        self.run("cmake", "-S", "examples/cpp", "-B", "build", *CROSS)
        self.run("cmake", "--build", "build")
        return self.work / "build" / "train"

    def compile(self, source: Path, program: str) -> Path:
        """Cross-compiles a single file of the checkout, which lies in the folder where it lies there."""
        there = source.relative_to(ROOT)
        (self.work / there).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, self.work / there)
        words = ("-std=c++20", "-O2", "-I/usr/include/onnxruntime", there, "-o", program, "-lonnxruntime")
        self.run(f"{PREFIX}-g++", *words)
        return self.work / program

    def libraries(self, program: Path) -> set[Path]:
        """All that a program needs to be loaded, the loader too."""
        found: set[Path] = set()
        waiting = [program]
        while waiting:
            told = self.run(f"{PREFIX}-objdump", "-p", f"/{waiting.pop().relative_to(self.root)}")
            for name in re.findall(r"NEEDED +(\S+)", told):
                library = self.root / "usr" / "lib" / PREFIX / name
                if library not in found:
                    found.add(library)
                    waiting.append(library)
        return found | {self.root / "usr" / "lib" / PREFIX / ARM64.loader}


@contextmanager
def toolchain() -> Iterator[Toolchain]:
    """The compilers, with an empty folder for as long as the block runs."""
    root = CACHE / f"cpp-{hashlib.sha256(repr((PACKAGES, SYSTEM)).encode()).hexdigest()[:16]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "cpp.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            with new_folder(root) as temporary:
                _unpack(temporary)
    with tempfile.TemporaryDirectory(dir=root / "work") as work:
        yield Toolchain(root, Path(work))


def _unpack(root: Path) -> None:
    state = root / "apt"
    archives = debian.download([*PACKAGES, *SYSTEM], state.resolve())
    # First what has the links of /lib and /bin, through which the others unpack.
    debian.unpack(sorted(archives, key=lambda path: not path.name.startswith("base-files_")), root)
    shutil.rmtree(state)
    (root / "work").mkdir()
    run(["mknod", "-m", "666", root / "dev" / "null", "c", "1", "3"], timeout_s=60)
