"""What a training recorded, line by line: metrics.jsonl."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from device_runtime.formats.errors import FormatError
from device_runtime.formats.events import parse_event

# A million steps take less than half of that.
MOST_BYTES = 2**28


def read_metrics(results: Path) -> list[dict[str, Any]]:
    """The records of a results folder's metrics.jsonl, without a last one that was half written when the power went.

    Raises:
      FormatError: a line is damaged, or the file is larger than that of any training.
    """
    file = results / "metrics.jsonl"
    if not file.exists():
        return []
    if file.stat().st_size > MOST_BYTES:
        raise FormatError(f"{file} has more than {MOST_BYTES:,} bytes: it is of no training; pull it again")
    records: list[dict[str, Any]] = []
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                break
            try:
                records.append(parse_event(line.decode()))
            except ValueError as error:
                raise FormatError(f"{file} is damaged in line {number} ({error}): pull it again") from error
    return records
