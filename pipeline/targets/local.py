"""This x86 machine as the target: the package runs where it was built."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from device_runtime.formats.options import ENGINES
from pipeline.commands import stream
from pipeline.errors import TargetError, UsageError
from pipeline.machine.facts import MachineFacts, facts_of_this_machine
from pipeline.packing.runtime_x86 import build_x86
from pipeline.progress import OnProgress
from pipeline.targets import Kind, OnLine
from pipeline.targets.output_folder import OutputHere


class LocalTarget(OutputHere):
    """Runs a package in place, with this interpreter."""

    name = "x86"

    def __init__(self, package: Path) -> None:
        if platform.machine() not in ("x86_64", "AMD64"):
            raise TargetError(
                f"this machine is {platform.machine()}, not x86-64: use --target arm64 with a device connected by adb"
            )
        super().__init__(package)
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
