"""fleet.jsonl: what happened in a federated training, one JSON object a line; `EVENTS` says what there is.

A line is written when it is known, and on disk before the next round begins.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from device_runtime.formats.errors import FormatError
from device_runtime.formats.records import parse_object, typed

FILE_NAME = "fleet.jsonl"

Record = Mapping[str, Any]

_Numbers = tuple[int, ...]

# Of each event what is read of it; where None is allowed, it may not be known. Seconds are wall time.
EVENTS: Mapping[str, Mapping[str, Any]] = {
    # How it began. `parameters`: numbers of the model, `array_bytes`: what travels of them each way, in one round.
    "start": {
        "run": str,
        "time": int,
        "model": str,
        "digest": str,
        "strategy": str,
        "rounds": int,
        "local_epochs": int,
        "partition": str | None,
        "fraction": float,
        "compress": str | None,
        "seed": int,
        "parameters": int,
        "array_bytes": int,
        "classes": tuple[str, ...],
    },
    # A device, when it was first seen; `train` and `test`: its images of each class.
    "device": {
        "device": str,
        "kind": str,
        "name": str,
        "cores": int | None,
        "memory_bytes": int | None,
        "train": _Numbers,
        "test": _Numbers,
    },
    # What a device gave in a round; `loss` is the mean of its steps. `_before`: of the global model that it was given,
    # on the device's own test images; `accuracy`: of its own model, when it had trained.
    "update": {
        "round": int,
        "device": str,
        "images": int,
        "steps": int,
        "loss": float,
        "accuracy": float,
        "loss_before": float,
        "accuracy_before": float,
        "push_seconds": float,
        "train_seconds": float,
        "pull_seconds": float,
        "pushed_bytes": int,
        "pulled_bytes": int,
    },
    # Why a device gave nothing in a round.
    "missing": {"round": int, "device": str, "why": str},
    # A whole round. `loss`: mean of the updates, by images; `own_seconds`: beyond the slowest device's push, training
    # and pull; `asking_seconds`: before it, of who was drawn; `file`: the new global model.
    "round": {
        "round": int,
        "devices": int,
        "loss": float | None,
        "seconds": float,
        "own_seconds": float,
        "asking_seconds": float | None,
        "file": str,
    },
    # The global model after a round, on all test images of this machine; round 0: before the first.
    "global": {"round": int, "accuracy": float, "test_loss": float},
    # It went on with the round after that one.
    "resume": {"round": int},
    # The last global model on a device's own test images; `personalised_accuracy`: after `steps` more steps of its own.
    "evaluation": {
        "device": str,
        "accuracy": float,
        "loss": float,
        "personalised_accuracy": float | None,
        "steps": int,
    },
    # A training of the same length on all images in one place.
    "centralised": {"accuracy": float, "loss": float, "steps": int, "seconds": float},
    "end": {"rounds": int, "seconds": float, "accuracy": float | None},
}


def append(folder: Path, event: str, **values: Any) -> None:
    """Adds a record to the folder's fleet.jsonl; it is on disk when this returns."""
    with (folder / FILE_NAME).open("a") as file:
        file.write(json.dumps({"event": event, **values}) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read(folder: Path) -> list[dict[str, Any]]:
    """The records of a folder's fleet.jsonl, without a last one that was half written.

    Raises:
      FormatError: there is none, or a line is damaged.
    """
    path = folder / FILE_NAME
    try:
        lines = path.read_text("utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} cannot be read ({error}): give the results folder of a fleet") from error
    records = []
    for number, line in enumerate(lines[:-1], 1):
        try:
            records.append(_parsed(line))
        except ValueError as error:
            raise FormatError(f"{path} is damaged in line {number} ({error}): pull or copy it again") from error
    return records


def of(records: Sequence[Record], event: str) -> list[Record]:
    """Those of one kind, in their order."""
    return [record for record in records if record["event"] == event]


def rounds(records: Sequence[Record]) -> list[Record]:
    """The whole rounds in their order, with `accuracy` and `test_loss` of the global model, None where not known."""
    known = {record["round"]: record for record in of(records, "global")}
    unknown = {"accuracy": None, "test_loss": None}
    return [{**unknown, **known.get(record["round"], {}), **record} for record in of(records, "round")]


def _parsed(line: str) -> dict[str, Any]:
    record = parse_object(line)
    for name, kind in EVENTS.get(typed(str, record.get("event"), "event"), {}).items():
        typed(kind, record.get(name), name)
    return record
