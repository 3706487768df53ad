"""What the trainer asks of an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]
Batch = tuple[npt.NDArray[Any], npt.NDArray[Any]]


@dataclass(frozen=True)
class Proximal:
    """FedProx's term of the loss, weight/2 · |w − start|², of which only the gradient is computed.

    Attributes:
      start: parameters that it draws to, float32 in the layout of the model.
      weight: Li et al.'s μ; 0 trains as without it.
    """

    start: Vector
    weight: float


class Engine(Protocol):
    """A model that can be trained and evaluated.

    `inputs` are what the graphs take: N× the dataset's sample, uint8 N×H×W×C of pictures, or float32 N×… features where
    a frozen backbone stands apart; `label` is N× the target, int64 N where a sample is of one class.
    """

    def train_step(self, inputs: npt.NDArray[Any], label: npt.NDArray[Any], rate: float, step: int) -> float:
        """Makes update number `step` (from 1) at learning rate `rate`; returns the batch's mean loss before it."""
        ...

    def train_steps(self, batches: Sequence[Batch], rates: Sequence[float], first: int) -> list[float]:
        """Makes one update for each of several batches of equal size, in one call; returns their losses.

        Raises:
          FormatError: the engine cannot.
        """
        ...

    def train_batches(self, batches: Sequence[Batch], rate: float, step: int) -> float:
        """Makes one update with the mean gradient of several batches of equal size; returns their mean loss before it.

        Raises:
          FormatError: the engine cannot.
        """
        ...

    def gradient(self, batches: Sequence[Batch], step: int) -> tuple[float, Vector]:
        """Mean loss and a copy of the mean gradient of batches of equal size, for update number `step`; renews buffers.

        Raises:
          FormatError: the engine cannot.
        """
        ...

    def update(self, gradient: Vector, rate: float, step: int) -> None:
        """Makes update number `step` with a gradient at learning rate `rate`.

        Raises:
          FormatError: the engine cannot.
        """
        ...

    def evaluate(self, inputs: npt.NDArray[Any], label: npt.NDArray[Any]) -> tuple[float, Vector]:
        """Mean loss of the batch and the output: of one class for a sample the logits, float32 N×classes."""
        ...

    def restore(self, parameters: Vector, buffers: Vector, states: Mapping[str, Vector]) -> None:
        """Goes on with a state of the same model, which it copies.

        Raises:
          FormatError: the engine cannot.
        """
        ...

    def parameters(self) -> Vector:
        """The flat vector of parameters, as it is until the next update."""
        ...

    def buffers(self) -> Vector:
        """The flat vector of buffers, as it is until the next update."""
        ...

    def states(self) -> Mapping[str, Vector]:
        """The optimizer's flat vectors by name, as they are until the next update."""
        ...
