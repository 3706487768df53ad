"""Results folders of fleets, made by hand: every record that a fleet may leave."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.fleet.records import FILE_NAME

DIGITS = tuple("0123456789")
PUSHED, PULLED = 247_000, 247_500


def started(**changed: Any) -> dict[str, Any]:
    """The first record."""
    start: dict[str, Any] = {
        "event": "start",
        "run": "0a1b2c",
        "time": 1_780_000_000,
        "model": "lenet",
        "digest": "d",
        "strategy": "fedavg",
        "rounds": 20,
        "local_epochs": 1,
        "partition": "dirichlet:0.5",
        "fraction": 1.0,
        "compress": None,
        "seed": 1,
        "parameters": 61_706,
        "array_bytes": 246_824,
        "classes": DIGITS,
    }
    return {**start, **changed}


def device(name: str, train: tuple[int, ...], number: int) -> dict[str, Any]:
    """What a device says of itself; the first tells neither cores nor memory."""
    known = {"cores": 8 if number else None, "memory_bytes": 7 * 2**30 if number else None}
    said = {"device": name, "kind": "local", "name": f"Pixel {number}", **known}
    return {"event": "device", **said, "train": train, "test": [count // 6 for count in train]}


def update(number: int, name: str, place: int, last: int) -> dict[str, Any]:
    """What a device gives in a round."""
    seconds = {"push_seconds": 0.02, "train_seconds": 1.5 + 0.1 * place, "pull_seconds": 0.03}
    return {
        "event": "update",
        "round": number,
        "device": name,
        "images": 100,
        "steps": 4,
        "loss": 2.3 * math.exp(-number * 3 / last),
        "accuracy": accuracy(number, last) - 0.02 * (place % 5),
        "loss_before": 1.0,
        "accuracy_before": accuracy(number - 1, last) - 0.01 * (place % 5),
        **seconds,
        "pushed_bytes": PUSHED,
        "pulled_bytes": PULLED,
    }


def accuracy(number: int, last: int) -> float:
    """Of the global model after a round of so many."""
    return 0.98 - 0.87 * math.exp(-number * 6 / last)


def fleet(
    devices: int = 4,
    last: int = 20,
    central: bool = True,
    away: int = 5,
    classes: tuple[str, ...] = DIGITS,
    **start: Any,
) -> list[dict[str, Any]]:
    """Records of a fleet to its end: in every `away`th round the last device is missing; it was resumed half-way."""
    random = np.random.default_rng(4)
    names = [f"local:{number}" for number in range(1, devices + 1)]
    records = [started(rounds=last, classes=classes, **start)]
    counts = random.dirichlet([0.5] * devices, len(classes)).T * 600
    if central:
        records.append({"event": "global", "round": 0, "accuracy": accuracy(0, last), "test_loss": 2.3})
    for number, name in enumerate(names):
        records.append(device(name, tuple(counts[number].astype(int).tolist()), number))
    for number in range(1, last + 1):
        there = names[:-1] if number % away == 0 else names
        records += [update(number, name, place, last) for place, name in enumerate(there)]
        if len(there) < devices:
            why = "it did not answer within --round-timeout 60"
            records.append({"event": "missing", "round": number, "device": names[-1], "why": why})
        own = {"devices": len(there), "loss": 2.3 * math.exp(-number * 3 / last), "seconds": 3.0, "own_seconds": 0.4}
        records.append({"event": "round", "round": number, **own, "file": f"lenet_round_{number}.safetensors"})
        if central:
            found = {"accuracy": accuracy(number, last), "test_loss": 2.3 * math.exp(-number * 3.3 / last)}
            records.append({"event": "global", "round": number, **found})
        if number == last // 2:
            records.append({"event": "resume", "round": number})
    for place, name in enumerate(names):
        found = {"accuracy": 0.95 + 0.005 * (place % 5), "loss": 0.1, "personalised_accuracy": 0.98, "steps": 100}
        records.append({"event": "evaluation", "device": name, **found})
    if central:
        records.append({"event": "centralised", "accuracy": 0.985, "loss": 0.05, "steps": 3000, "seconds": 9.0})
    records.append({"event": "end", "rounds": last, "seconds": 61.0, "accuracy": 0.97 if central else None})
    return records


def write_fleet(folder: Path, records: list[dict[str, Any]]) -> Path:
    """A results folder of these records."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE_NAME).write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder
