"""This x86 machine as the target: the package runs where it was built."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from device_runtime.formats.manifest import PULLED
from device_runtime.formats.metrics import FILE_NAME as METRICS
from device_runtime.formats.options import ENGINES
from pipeline.commands import stream
from pipeline.errors import TargetError, UsageError
from pipeline.files import new_file
from pipeline.machine.facts import MachineFacts, facts_of_this_machine
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
        self._output = self._package / "output"
        # What nice(1) takes, where other processes of this machine are to come first.
        self.niceness = 0

    def push(self, package: Path, on_bytes: OnProgress) -> int:
        """See `Target`: nothing travels."""
        return 0

    def run(self, script: str, arguments: Sequence[str], on_line: OnLine) -> int:
        """See `Target`."""
        # Threads that spin between operators starve one another; no library but the runtime computes here.
        env = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        nicely = ["nice", "-n", str(self.niceness)] if self.niceness else []
        return stream([*nicely, "sh", self._package / script, *arguments], on_line, env=env)

    def clear_output(self) -> None:
        """See `Target`."""
        shutil.rmtree(self._output, ignore_errors=True)

    def running(self) -> bool:
        """See `Target`: what runs here ends with who started it."""
        return False

    def attach(self, on_line: OnLine) -> int:
        """See `Target`."""
        raise TargetError("on this machine a script ends with who started it: there is none to attach to")

    def stop(self) -> None:
        """See `Target`."""
        raise TargetError("on this machine a script ends with who started it: none runs")

    def output_file(self, name: str) -> str:
        """See `Target`."""
        return str(self._output / name)

    def pull(self, into: Path, only: str = "*") -> list[Path]:
        """See `Target`."""
        files = sorted(path for path in self._output.glob(only) if path.is_file() and path.name[0] != ".")
        for file in files:
            with new_file(into / file.name) as temporary:
                shutil.copyfile(file, temporary)
        return [into / file.name for file in files]

    def unpulled(self) -> bool:
        """See `Target`."""
        metrics, mark = self._output / METRICS, self._output / PULLED
        noted = mark.read_text(errors="replace").strip() if mark.is_file() else ""
        return metrics.is_file() and str(metrics.stat().st_size) != noted

    def mark_pulled(self, size_bytes: int) -> None:
        """See `Target`."""
        with new_file(self._output / PULLED) as temporary:
            temporary.write_text(f"{size_bytes}\n")

    def put(self, files: Sequence[Path]) -> None:
        """See `Target`."""
        for file in files:
            with new_file(self._output / file.name) as temporary:
                shutil.copyfile(file, temporary)

    def facts(self) -> MachineFacts:
        """See `Target`."""
        return facts_of_this_machine()


def _checkpoint(text: str) -> str:
    """The file's path: scripts run in a folder of their own."""
    if not Path(text).is_file():
        raise UsageError(f"the checkpoint {text} does not exist")
    return str(Path(text).resolve())


def kind(target: str) -> Kind:
    """This machine, which `--target` means where no serial names a device."""
    return Kind(
        target, lambda package, serial: LocalTarget(package), build_x86, _checkpoint, is_here=True, engines=ENGINES
    )
