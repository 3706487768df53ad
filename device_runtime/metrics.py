"""metrics.jsonl: one JSON object a line, appended while the training runs."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import TextIO

Field = str | int | float | None


class Metrics:
    """The open file, appended to; each record is on disk when `record` returns."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = path.open("a", buffering=1)

    def record(self, event: str, **fields: Field) -> None:
        """Appends one record."""
        self._file.write(json.dumps({"event": event, **fields}) + "\n")

    def __enter__(self) -> Metrics:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()


def peak_memory_bytes() -> int:
    """Largest resident size of this process in bytes, from VmHWM of /proc/self/status, which counts in KiB.

    Not getrusage's: that one still holds the size of the process that started this one.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
