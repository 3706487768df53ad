"""One line of metrics.jsonl: an event with what readers of that event take from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from device_runtime.formats.paths import check_name
from device_runtime.formats.records import parse_object, typed

# What is read of each event; others, and what else one records, may be any plain value. Where None is allowed, an older
# training may lack it, or it was no finite number.
_READ: Mapping[str, Mapping[str, Any]] = {
    "start": {
        "model": str,
        "run": str,
        "package": str,
        "engine": str,
        "file": str,
        "time": int,
        "first": int,
        "last": int,
    },
    "step": {"step": int, "loss": float, "learning_rate": float | None, "seconds": float | None},
    "report": {"step": int, "measure": str | None},
    "evaluation": {"step": int, "measure": str | None, "split": str, "loss": float | None},
    # A class, a label or a value of the last evaluation.
    "class": {"step": int, "split": str, "name": str, "count": int},
    # Of the battery what is known and was asked for then.
    "device": {
        "step": int,
        "seconds": float | None,
        "rss_bytes": int | None,
        "battery_percent": float | None,
        "battery_celsius": float | None,
    },
    "checkpoint": {"step": int, "file": str},
    # The checkpoint that a training with `--best` ends with.
    "best": {"step": int, "file": str},
    "diverged": {"step": int, "advice": str},
}

# What the runner records of any training; a loop has other events of its own.
OF_THE_RUNNER = _READ.keys() - {"report"} | {"resume", "end", "pause", "continue", "gap", "threads"}

# What is, or becomes, a name of a file or folder.
_NAMES = {"checkpoint": "file", "best": "file", "start": "run"}


def measure_in(record: Mapping[str, Any]) -> str:
    """By what a report or an evaluation judges; one of a training before there were others does not say it."""
    return str(record.get("measure") or "accuracy")


def parse_event(line: str) -> dict[str, Any]:
    """Reads a line.

    Raises:
      ValueError: it is no event, lacks what is read of it, or names a file elsewhere.
    """
    record = parse_object(line)
    for value in record.values():
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            typed(type(value), value)
        elif isinstance(value, list | dict):
            # Nothing is recorded so, and a deep one could not even be printed.
            raise ValueError("a value is no plain one")
    for name, kind in _READ.get(typed(str, record.get("event"), "event"), {}).items():
        typed(kind, record.get(name), name)
    if record["event"] in ("report", "evaluation"):
        measure = measure_in(record)
        typed(float, record.get(measure), measure)
    if record["event"] in _NAMES:
        check_name(record[_NAMES[record["event"]]])
    return record
