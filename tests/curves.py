"""What TensorBoard's own reader finds in a results folder."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator


class Point(NamedTuple):
    """One point of a curve; `time` in seconds since 1970."""

    step: int
    value: float
    time: float


def curves(results: Path) -> dict[str, list[Point]]:
    """The curves by their tags."""
    found = EventAccumulator(str(results / "tensorboard"), {SCALARS: 0})
    found.Reload()
    return {tag: [Point(p.step, p.value, p.wall_time) for p in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
