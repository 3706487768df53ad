"""What one side computes for a batch, in the form in which two sides are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# float32, of a side in double precision float64.
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Batch:
    """Some images of the dataset.

    Attributes:
      pixels: uint8 N×H×W×C.
      image: what the preprocessing makes of them, float32 N×C×H'×W'.
      label: int64 N.
    """

    pixels: npt.NDArray[np.uint8]
    image: npt.NDArray[np.float32]
    label: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Evaluation:
    """Of a batch in evaluation: logits N×classes, and the mean loss."""

    logits: Array
    loss: Array


@dataclass(frozen=True)
class Step:
    """Of a batch in training.

    Attributes:
      loss: the mean.
      gradients: by the names of parameters.
      buffers: what they are after the step, by name.
    """

    loss: Array
    gradients: Mapping[str, Array]
    buffers: Mapping[str, Array]
