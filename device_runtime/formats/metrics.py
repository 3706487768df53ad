"""metrics.jsonl: what a training recorded, one JSON object a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from device_runtime.formats.errors import FormatError
from device_runtime.formats.events import measure_in, parse_event

FILE_NAME = "metrics.jsonl"

# A million steps take less than half of that.
MOST_BYTES = 2**28

Record = Mapping[str, Any]

# What an evaluation may record of outputs beside targets, as `scores` has it.
MEASURES = ("accuracy", "top5", "f1", "auc", "r2", "mae", "rmse")


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The records of a folder's metrics.jsonl; see `read_records`."""
    return read_records(folder / FILE_NAME)


def read_records(file: Path) -> list[dict[str, Any]]:
    """The records of a file, none where there is no file, without a last one that was half written when the power went.

    Raises:
      FormatError: a line is damaged, or the file is larger than that of any training.
    """
    if not file.is_file():
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


def score_in(record: Record) -> float:
    """Of a report or an evaluation, the number by which the training is judged."""
    return float(record[measure_in(record)])


def last_start(records: Sequence[Record]) -> Record | None:
    """How the training began whose records are the last."""
    return next((record for record in reversed(records) if record["event"] == "start"), None)


def ended(records: Sequence[Record]) -> bool:
    """Whether the training came to its end."""
    return diverged(records) or (bool(records) and records[-1]["event"] == "end")


def diverged(records: Sequence[Record]) -> bool:
    """Whether the training ended because its numbers were of no more worth; its last record has advice."""
    return bool(records) and records[-1]["event"] == "diverged"


def trained_file(records: Sequence[Record]) -> str | None:
    """Name of the checkpoint that a training ended with, or until now has: the best one, or else the last."""
    files = (record["file"] for record in reversed(records) if record["event"] in ("best", "checkpoint"))
    return next(files, None)


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
