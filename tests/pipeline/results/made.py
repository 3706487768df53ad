"""Results folders made by hand: every record that a training may leave."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from device_runtime.formats.bmp import write_bmp
from device_runtime.formats.dataset import Strip, pictures, write_description
from device_runtime.formats.manifest import FILE_NAME as MANIFEST
from device_runtime.formats.manifest import File, Manifest, Version, write_manifest
from device_runtime.formats.predictions import Heading, Predictions, write_predictions
from pipeline.machine.facts import MachineFacts, write_facts
from pipeline.results.records.about import About, write_about

PHONE = MachineFacts("Google Pixel 7", "Android 14 (API 34)", "arm64-v8a", "Google GS201", 8, 7 * 2**30, "R58M123ABC")
RUN = "0a1b2c"
STEPS = 120


def metrics(steps: int = STEPS, **start: Any) -> list[dict[str, Any]]:
    """Records of a training on a phone that was interrupted once, to its end."""
    plan = {"first": 1, "last": steps, "batch_size": 32, "learning_rate": 0.001, "augment": "", "target_accuracy": None}
    began = {"model": "lenet", "digest": "d", "engine": "lowered", "time": 1_780_000_000, "run": RUN, "package": "p"}
    records: list[dict[str, Any]] = [{"event": "start", **began, "file": "model", **plan, **start}]
    for step in range(1, steps + 1):
        loss = 2.3 * math.exp(-step / 40) + 0.05 * (step % 3)
        records.append({"event": "step", "step": step, "loss": loss, "learning_rate": 0.001, "seconds": 0.012})
        if step % 20 == 0:
            battery = {"battery_percent": 90 - step / 20, "battery_celsius": 30 + step / 60}
            records.append(
                {"event": "device", "step": step, "rss_bytes": 90 * 2**20 + step, "plugged": True, **battery}
            )
            records.append({"event": "report", "step": step, "accuracy": 1 - math.exp(-step / 50)})
        if step == steps // 2:
            records.append({"event": "resume", "step": step, "file": "a.safetensors"})
    records.append({"event": "evaluation", "step": steps, "split": "test", "accuracy": 0.9, "loss": 0.3})
    records.append({"event": "end", "step": steps, "peak_memory_bytes": 99 * 2**20, "seconds": 3725.0})
    return records


def write_metrics(folder: Path, records: list[dict[str, Any]]) -> None:
    """metrics.jsonl of these records."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def guessed(labels: list[int], guesses: list[int]) -> Predictions:
    """Predictions, each as sure as its place is late."""
    sure = np.linspace(0.5, 1, len(labels), dtype=np.float32)
    return Predictions(np.array(labels, np.int32), np.array(guesses, np.int32), sure)


def write_results(folder: Path, classes: tuple[str, ...], predictions: Predictions, **start: Any) -> Path:
    """A whole results folder."""
    write_metrics(folder, metrics(**start))
    heading = Heading(RUN, STEPS, "test", len(classes), len(predictions.labels))
    write_predictions(folder, predictions, heading)
    write_facts(folder, PHONE)
    table = (("class", "train", "test", "left out"), *((name, "60", "20", "0") for name in classes))
    check = "checked against torch: logits 7e-7, loss 0, gradients 9e-7, update 4e-6"
    optimizer = "sgd, momentum 0.9, dampening 0.01, nesterov 0, weight_decay 0"
    about = About(classes, ("found 1,000 images",), table, check, 61_706, "28 × 28 × 1", optimizer)
    write_about(folder, about)
    files = (File("dataset/a.bmp", 3, hashlib.sha256(b"a").hexdigest(), False),)
    write_manifest(folder, Manifest("arm64", "lenet", files, {"numpy": Version("2.4.6", "")}))
    assert (folder / MANIFEST).is_file()
    return folder


def write_dataset(folder: Path, classes: tuple[str, ...], counts: list[int], side: int = 8) -> Path:
    """A dataset whose test split has so many images of each class, grey noise."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(5)
    strips = [Strip(f"{label}.bmp", label, count) for label, count in enumerate(counts) if count]
    for strip in strips:
        write_bmp(folder / strip.file, random.integers(0, 255, (strip.count, side, side, 1), np.uint8))
    write_description(folder, pictures("made", side, side, 1, classes, {"test": tuple(strips)}))
    return folder
