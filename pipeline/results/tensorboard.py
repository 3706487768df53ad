"""TensorBoard: metrics.jsonl → an event file with the curves of a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from device_runtime.formats.errors import FormatError
from device_runtime.formats.metrics import MEASURES, Record, read_metrics
from pipeline.files import new_folder

FOLDER = "tensorboard"

# Of one curve. TensorBoard shows no more than a thousand of them, and writing takes 0.1 ms each.
MOST_POINTS = 10_000


class Curve(NamedTuple):
    """A curve: the records of an event that have `field`, as far as `only` says; `tag` is its name in TensorBoard."""

    tag: str
    event: str
    field: str
    only: tuple[str, str] | None = None


CURVES = (
    Curve("loss/train", "step", "loss"),
    Curve("loss/test", "evaluation", "loss", ("split", "test")),
    Curve("loss/validation", "evaluation", "loss", ("split", "validation")),
    # Of the ten batches of a report.
    *(Curve(f"{measure}/report", "report", measure) for measure in MEASURES),
    *(
        Curve(f"{measure}/{split}", "evaluation", measure, ("split", split))
        for measure in MEASURES
        for split in ("test", "validation")
    ),
    Curve("step/learning_rate", "step", "learning_rate"),
    Curve("step/seconds", "step", "seconds"),
    Curve("device/rss_bytes", "device", "rss_bytes"),
    Curve("device/battery_percent", "device", "battery_percent"),
    Curve("device/battery_celsius", "device", "battery_celsius"),
)


def write_tensorboard(results: Path) -> None:
    """Reads metrics.jsonl of a results folder and writes `tensorboard/` beside it, in place of one that is there.

    Raises:
      FormatError: metrics.jsonl is damaged, or says of no training that it began.
    """
    records = read_metrics(results)
    start = next((record for record in records if record["event"] == "start"), None)
    if start is None:
        raise FormatError(f"{results}: metrics.jsonl says of no training that it began: pull again, or train again")
    # It imports torch where there is one.
    from tensorboardX import SummaryWriter

    steps, seconds = _clock(records)
    with new_folder(results / FOLDER) as folder, SummaryWriter(str(folder)) as writer:
        for curve in CURVES:
            for step, value in _thinned(_points(curve, records)):
                writer.add_scalar(curve.tag, value, step, start["time"] + float(np.interp(step, steps, seconds)))


def _points(curve: Curve, records: Sequence[Record]) -> list[tuple[int, float]]:
    """Steps and values; of several at one step, as the last evaluation repeats that of the training, the last."""
    points: dict[int, float] = {}
    for record in records:
        chosen = curve.only is None or record.get(curve.only[0]) == curve.only[1]
        if chosen and record["event"] == curve.event and record.get(curve.field) is not None:
            points[record["step"]] = record[curve.field]
    return list(points.items())


def _thinned(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """So many of them as are written, evenly, the first and the last one among them."""
    chosen = np.linspace(0, len(points) - 1, min(len(points), MOST_POINTS)).astype(int)
    return [points[number] for number in chosen]


def _clock(records: Sequence[Record]) -> tuple[list[int], list[float]]:
    """Steps, and the seconds after the training's begin at which each was made; older trainings noted none."""
    noted = [(r["step"], r["seconds"]) for r in records if r["event"] == "device" and r.get("seconds") is not None]
    return [step for step, _ in noted] or [0], [seconds for _, seconds in noted] or [0.0]
