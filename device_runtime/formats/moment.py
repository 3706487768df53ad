"""The line of the runner's output that says how far its training is; printed where a host asked for it, and only read.

Whoever shows a training takes these lines out of what it printed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from device_runtime.formats.records import parse_object, typed

# No other line begins so.
PREFIX = "@progress "

# Of a step's images, and of the seconds of a training: some thousand years.
_MOST = 1e12


@dataclass(frozen=True)
class Moment:
    """How far a training is; None for what is not known yet.

    Attributes:
      step, steps: number of the last update, and of the last one there is to be.
      loss: of the last update.
      score: of the last report or evaluation.
      measure: what the score is: accuracy, f1 or r2.
      images_per_second: while it trains.
      seconds_left: until the last update.
      paused: whether it waits for a condition.
    """

    step: int
    steps: int
    loss: float | None = None
    score: float | None = None
    images_per_second: float | None = None
    seconds_left: float | None = None
    paused: bool = False
    measure: str = "accuracy"


def line_of(moment: Moment) -> str:
    """The line."""
    return PREFIX + json.dumps(asdict(moment))


def is_moment(line: str) -> bool:
    """Whether a line is one of these, or was before it was damaged."""
    return line.startswith(PREFIX)


def read_moment(line: str) -> Moment:
    """Reads a line that `is_moment`.

    Raises:
      ValueError: it is damaged, or says what no training can.
    """
    moment: Moment = typed(Moment, parse_object(line.removeprefix(PREFIX)))
    if not 0 <= moment.step <= moment.steps:
        raise ValueError(f"step {moment.step} of {moment.steps}")
    for number in (moment.images_per_second, moment.seconds_left):
        if number is not None and not 0 <= number <= _MOST:
            raise ValueError(f"{number} images per second, or seconds")
    return moment
