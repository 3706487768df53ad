"""Logits → probabilities of the classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def probabilities_of(logits: npt.NDArray[Any], how: str) -> npt.NDArray[np.float64]:
    """Probabilities of the classes, float64 N×classes; their order is the logits'.

    Args:
      logits: N×classes.
      how: one of `formats.answers.PROBABILITIES`.
    """
    values = logits.astype(np.float64)
    if how == "clip":
        return np.clip(values, 0, 1)
    if how == "sigmoid":
        # exp of what is not above 0 alone: it never overflows.
        small = np.exp(-np.abs(values))
        return np.asarray(np.where(values >= 0, 1, small) / (1 + small))
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
