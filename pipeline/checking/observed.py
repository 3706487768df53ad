"""What one side computes for a batch, in the form in which two sides are compared."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

# float32, of a side in double precision float64.
Array = npt.NDArray[Any]

# The share by which parameters move between two steps.
NUDGE = 0.02


@dataclass(frozen=True)
class Batch:
    """Some samples of the dataset.

    Attributes:
      pixels: as the dataset has them, of pictures uint8 N×H×W×C.
      image: what the preprocessing makes of them, of pictures float32 N×C×H'×W'.
      label: their targets.
    """

    pixels: Array
    image: Array
    label: Array


@dataclass(frozen=True)
class Evaluation:
    """Of a batch in evaluation: the output, of one class for a sample logits N×classes, and the mean loss."""

    logits: Array
    loss: Array


@dataclass(frozen=True)
class Step:
    """Of a batch in training.

    Attributes:
      loss: the mean.
      parameters: names of all that the side knows, those that stay fixed too.
      gradients: by the names of parameters; of one that gets none, it is left out.
      buffers: what they are after the step, by name.
    """

    loss: Array
    parameters: frozenset[str]
    gradients: Mapping[str, Array]
    buffers: Mapping[str, Array]


@dataclass(frozen=True)
class Observed:
    """What one side makes of the same batches: evaluation of the first, then a step with each, one after another.

    Attributes:
      buffers: before the first step, by name.
    """

    evaluation: Evaluation
    buffers: Mapping[str, Array]
    steps: tuple[Step, ...]


class Side(Protocol):
    """torch, or the lowered graphs."""

    def evaluate(self, batch: Batch) -> Evaluation:
        """Logits and loss in evaluation."""
        ...

    def step(self, batch: Batch) -> Step:
        """One training step, whose buffers the next one starts from."""
        ...

    def nudge(self) -> None:
        """Moves what trains as `nudged` says."""
        ...

    def buffers(self) -> Mapping[str, Array]:
        """The buffers as they are now."""
        ...


def observe(side: Side, batches: Sequence[Batch]) -> Observed:
    """Lets one side compute everything that is compared."""
    evaluation, buffers = side.evaluate(batches[0]), side.buffers()
    return Observed(evaluation, buffers, tuple(_steps(side, batches)))


def _steps(side: Side, batches: Sequence[Batch]) -> Iterator[Step]:
    for number, batch in enumerate(batches):
        # What a module makes of its parameters shows when they move.
        if number:
            side.nudge()
        yield side.step(batch)


def nudged(name: str, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A parameter a little away from where it was, on every side alike: in proportion, so that it keeps its sign."""
    noise = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(values.shape)
    # A product without axes would be a number, no array.
    return np.asarray(values * (1 + NUDGE * noise) if values.any() else NUDGE * noise, np.float32)
