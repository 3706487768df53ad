"""A package's output folder on this machine, as a target has it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from device_runtime.formats.manifest import OUTPUT, PULLED
from device_runtime.formats.metrics import FILE_NAME as METRICS
from pipeline.errors import TargetError
from pipeline.files import new_file
from pipeline.targets import OnLine


class OutputHere:
    """What `Target` says of the output folder, and of scripts that end with who started them."""

    def __init__(self, package: Path) -> None:
        self._package = package.resolve()
        self._output = self._package / OUTPUT

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
