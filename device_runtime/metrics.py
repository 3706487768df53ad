"""metrics.jsonl: one JSON object a line, appended while the training runs."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TextIO

from device_runtime.formats.metrics import Record
from device_runtime.formats.whole_file import whole_file

Field = str | int | float | bool | None


class Metrics:
    """The open file, appended to; each record is with the system when `record` returns, on disk after `sync`."""

    def __init__(self, path: Path) -> None:
        self._file: TextIO = path.open("a", buffering=1)

    def record(self, event: str, **fields: Field) -> None:
        """Appends one record; JSON has no word for a number that is not finite, which becomes null."""
        known = {name: None if _is_lost(value) else value for name, value in fields.items()}
        self._file.write(json.dumps({"event": event, **known}) + "\n")

    def sync(self) -> None:
        """Returns when all that was recorded is on disk."""
        os.fsync(self._file.fileno())

    def __enter__(self) -> Metrics:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()


def replace_records(path: Path, records: Sequence[Record]) -> None:
    """Writes records in place of those that are there."""
    with whole_file(path) as temporary:
        temporary.write_text("".join(json.dumps(record) + "\n" for record in records))


def peak_memory_bytes() -> int:
    """Largest resident size of this process.

    Not getrusage's: that one still holds the size of the process that started this one.
    """
    return _memory_bytes("VmHWM:")


def resident_memory_bytes() -> int:
    """Resident size of this process now."""
    return _memory_bytes("VmRSS:")


def _memory_bytes(name: str) -> int:
    """An entry of /proc/self/status, which counts in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024


def _is_lost(value: Field) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
