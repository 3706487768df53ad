"""When two results differ by more than the rounding of float32.

A difference is measured against the largest element of the tensor. What honest networks show is far below the limits
here, but for values that rounding alone decides: the gradient of a bias before batch normalisation is 0 but for it, and
deep networks amplify it. There torch in double precision tells: no further from it than a few times as far as torch's
own float32 is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from pipeline.checking.observed import Array

LIMITS = {"logits": 1e-4, "loss": 1e-4, "gradients": 1e-3, "buffers": 1e-4}
# Times torch's own error in float32: the largest of a tensor's rounding errors is a matter of chance.
CHANCE = 20.0
# Below this share of the largest gradient nothing is told apart: the gradient of what the loss does not depend on, as a
# shift of all logits, is 0 on one side and rounding's on the other.
ROUNDING = 1e-6


@dataclass
class Measured:
    """The largest differences that were found, by kind; and of what is decided by rounding, ours and torch's errors.

    Attributes:
      largest: relative to the largest element of the tensor.
      rounding: by name, how far ours and torch's float32 are from torch's float64, in absolute terms.
    """

    largest: dict[str, float] = field(default_factory=dict)
    rounding: dict[str, tuple[float, float]] = field(default_factory=dict)

    def fits(
        self, kind: str, name: str, ours: Array, torchs: Array, exact: Callable[[], Array | None], scale: float = 0.0
    ) -> bool:
        """Whether ours is torch's but for rounding; keeps what was measured.

        Args:
          kind: one of LIMITS.
          name: what the tensor is called.
          ours: of the lowered graphs.
          torchs: of torch in float32.
          exact: of torch in float64; None where the module does not run in it.
          scale: the largest element of all tensors of its kind.
        """
        difference = relative(ours, torchs)
        if difference <= LIMITS[kind]:
            self.largest[kind] = max(self.largest.get(kind, 0.0), difference)
            return True
        truth = exact() if np.isfinite(difference) else None
        if truth is None:
            return False
        errors = absolute(ours, truth), absolute(torchs, truth)
        self.rounding[name] = errors
        return errors[0] <= CHANCE * errors[1] + LIMITS[kind] * largest(truth) + ROUNDING * max(scale, 1e-5)


def relative(ours: Array, theirs: Array) -> float:
    """The largest difference relative to the largest element; infinite where one side alone is no number."""
    difference = absolute(ours, theirs)
    return difference / max(largest(theirs), largest(ours)) if difference else 0.0


def absolute(ours: Array, theirs: Array) -> float:
    """The largest difference; infinite where one side alone is no number, or the shapes differ."""
    if ours.shape != theirs.shape:
        return float("inf")
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    finite = np.isfinite(ours) & np.isfinite(theirs)
    if not np.array_equal(ours[~finite], theirs[~finite], equal_nan=True):
        return float("inf")
    return float(np.abs(ours - theirs)[finite].max(initial=0.0))


def largest(values: Array) -> float:
    """The largest finite element, without its sign; 0 where there is none."""
    return float(np.abs(values.astype(np.float64))[np.isfinite(values)].max(initial=0.0))
