"""This x86 machine as the target: the package runs where it was built."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from device_runtime.formats.options import ENGINES
from pipeline.commands import stream
from pipeline.errors import TargetError, UsageError
from pipeline.files import new_file
from pipeline.packing.runtime_x86 import build_x86
from pipeline.progress import OnProgress
from pipeline.targets import Kind, OnLine


class LocalTarget:
    """Runs a package in place, with this interpreter."""

    name = "x86"

    def __init__(self, package: Path) -> None:
        if platform.machine() not in ("x86_64", "AMD64"):
            raise TargetError(
                f"this machine is {platform.machine()}, not x86-64: use --target arm64 with a device connected by adb"
            )
        self._package = package.resolve()

    def push(self, package: Path, on_bytes: OnProgress) -> int:
        """See `Target`: nothing travels."""
        return 0

    def run(self, script: str, arguments: Sequence[str], on_line: OnLine) -> int:
        """See `Target`."""
        # Threads that spin between operators starve one another; no library but the runtime computes here.
        env = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        return stream(["sh", self._package / script, *arguments], on_line, env=env)

    def clear_output(self) -> None:
        """See `Target`."""
        shutil.rmtree(self._package / "output", ignore_errors=True)

    def pull(self, into: Path) -> list[Path]:
        """See `Target`."""
        output = self._package / "output"
        files = sorted(path for path in output.glob("*") if path.is_file()) if output.is_dir() else []
        if not files:
            raise TargetError(f"{output} holds no results: run `invoke train --target x86` first")
        for file in files:
            with new_file(into / file.name) as temporary:
                shutil.copyfile(file, temporary)
        return [into / file.name for file in files]


def _checkpoint(text: str) -> str:
    """The file's path: scripts run in a folder of their own."""
    if not Path(text).is_file():
        raise UsageError(f"the checkpoint {text} does not exist")
    return str(Path(text).resolve())


KIND = Kind(lambda package, serial: LocalTarget(package), build_x86, _checkpoint, goes_on=False, engines=ENGINES)
