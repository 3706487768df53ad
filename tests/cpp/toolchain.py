"""Debian's compilers and ONNX Runtime in a root of their own, and npm's for arm64, cached by what it is made of.

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
from pipeline.packing.npm import npm_files, pins_in
from tests.invoking import ROOT

CACHE = Path.home() / ".cache" / "train-on-device"
EXAMPLE = ROOT / "examples" / "cpp"
PREFIX = f"{ARM64.machine}-linux-gnu"
PACKAGES = ("g++:amd64", f"g++-{PREFIX}:amd64", "cmake:amd64", "make:amd64", "libonnxruntime-dev:amd64")
# What a program in there takes for given.
SYSTEM = ("base-files:amd64", "dash:amd64", "coreutils:amd64")
# npm's library for arm64 is all in one; where it lies in the root.
LIBRARY = "onnxruntime-node/bin/napi-v3/linux/arm64/libonnxruntime.so.1"
FOR_ARM64 = Path("/opt", Path(LIBRARY).name)
CROSS = ("-DCMAKE_SYSTEM_NAME=Linux", f"-DCMAKE_CXX_COMPILER={PREFIX}-g++", f"-DONNXRUNTIME={FOR_ARM64}")
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

    def build(self, folder: str, *options: str) -> Path:
        """Compiles examples/cpp as its page says, with `CROSS` for arm64; the program is in that folder of `work`."""
        (self.work / "examples" / "cpp").mkdir(parents=True, exist_ok=True)
        for name in ("CMakeLists.txt", "train.cpp"):
            shutil.copy(EXAMPLE / name, self.work / "examples" / "cpp")
        self.run("cmake", "-S", "examples/cpp", "-B", folder, *options)
        self.run("cmake", "--build", folder)
        return self.work / folder / "train"

    def compile(self, source: Path, program: str) -> Path:
        """Compiles a single file of the checkout for arm64; it lies in the folder where it lies there."""
        there = source.relative_to(ROOT)
        (self.work / there).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, self.work / there)
        words = ("-std=c++20", "-O2", "-I/usr/include/onnxruntime", there, "-o", program, FOR_ARM64)
        self.run(f"{PREFIX}-g++", *words)
        return self.work / program

    def libraries(self, program: Path) -> set[Path]:
        """All that a program for arm64 needs to be loaded, the loader too."""
        folders = [self.root / "usr" / PREFIX / "lib", self._inside(FOR_ARM64.parent)]
        found: set[Path] = set()
        waiting = [program]
        while waiting:
            told = self.run(f"{PREFIX}-objdump", "-p", f"/{waiting.pop().relative_to(self.root)}")
            for name in re.findall(r"NEEDED +(\S+)", told):
                library = next(folder / name for folder in folders if (folder / name).exists())
                if library not in found:
                    found.add(library)
                    waiting.append(library)
        return found

    def _inside(self, path: Path) -> Path:
        return self.root / path.relative_to("/")


@contextmanager
def toolchain() -> Iterator[Toolchain]:
    """The compilers, with an empty folder for as long as the block runs."""
    made_of = repr((PACKAGES, SYSTEM, [path.read_text() for path in pins_in(EXAMPLE)]))
    root = CACHE / f"cpp-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}"
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
    (root / "opt").mkdir(exist_ok=True)
    npm_files(EXAMPLE, {LIBRARY: FOR_ARM64.name}, root / "opt")
    (root / "work").mkdir()
    run(["mknod", "-m", "666", root / "dev" / "null", "c", "1", "3"], timeout_s=60)
