"""metrics.jsonl: what a training recorded, one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from device_runtime.formats.errors import FormatError

FILE_NAME = "metrics.jsonl"

Record = Mapping[str, Any]


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The records of a folder's metrics.jsonl, without a last one that was half written when the power went.

    Raises:
      FormatError: a line before the last is damaged.
    """
    file = folder / FILE_NAME
    try:
        lines = file.read_text(errors="replace").splitlines(keepends=True) if file.is_file() else []
    except OSError as error:
        raise FormatError(f"{file}: {error.strerror}") from error
    records = [_record(line) for line in lines if line.endswith("\n")]
    for number, record in enumerate(records[:-1], 1):
        if record is None:
            raise FormatError(f"{file} is damaged in line {number}: pull it again, or train again")
    return [record for record in records if record is not None]


def last_start(records: Sequence[Record]) -> Record | None:
    """How the training began whose records are the last."""
    return next((record for record in reversed(records) if record["event"] == "start"), None)


def ended(records: Sequence[Record]) -> bool:
    """Whether the training came to its end."""
    return bool(records) and records[-1]["event"] in ("end", "diverged")


def until(records: Sequence[Record], run: str, step: int) -> list[Record]:
    """What the training `run` had recorded when it saved the checkpoint after update `step`, and all before it began.

    Nothing, where it is not among them.
    """
    begun = [number for number, record in enumerate(records) if record["event"] == "start" and record["run"] == run]
    if not begun:
        return []
    for number in range(begun[-1] + 1, len(records)):
        record = records[number]
        if record["event"] == "checkpoint" and record["step"] == step:
            return list(records[: number + 1])
        if record.get("step", 0) > step or record["event"] in ("start", "end", "diverged"):
            return list(records[:number])
    return list(records)


def _record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("event"), str) else None
