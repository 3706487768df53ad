"""How much noise hides each device's part in the model: `--dp`."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass

from pipeline.options import positive_number

_NAMES = ("clip", "noise")

# Where one is asked for a chance, this one is usual: that far less than one device in all fleets is betrayed.
DELTA = 1e-5

# Beyond this ε the numbers of the formula are too large to be told apart, and nothing is hidden any more.
_LARGEST_EPSILON = 500.0


@dataclass(frozen=True)
class Privacy:
    """Central differential privacy of devices.

    Attributes:
      clip: the longest update of one device, as Euclid's norm over all parameters.
      noise: standard deviation of what is added to the sum of all updates, in parts of `clip`.
    """

    clip: float
    noise: float

    def __str__(self) -> str:
        return f"clip={self.clip!r},noise={self.noise!r}"

    def epsilon(self, rounds: int, delta: float = DELTA) -> float:
        """ε of so many rounds in which a device takes part each time; infinity where it is above 500.

        Rounds with Gaussian noise z are one with z/√rounds, for which Balle and Wang (2018, theorem 8) have
        δ = Φ(1/2z − εz) − exp(ε) Φ(−1/2z − εz), here solved for ε by halving; fleets differ by one device.
        """
        noise = self.noise / math.sqrt(rounds)
        low, high = 0.0, _LARGEST_EPSILON
        if _delta(high, noise) > delta:
            return math.inf
        while high - low > 1e-9 * high:
            middle = (low + high) / 2
            low, high = (middle, high) if _delta(middle, noise) > delta else (low, middle)
        return high

    def told(self, rounds: int) -> str:
        """What so many rounds tell of a device at most, in one line."""
        epsilon = self.epsilon(rounds)
        size = f"ε is above {_LARGEST_EPSILON:g}" if math.isinf(epsilon) else f"ε = {epsilon:.3g}"
        return f"differential privacy: {size} at δ = {DELTA:g} for a device that took part in {rounds} rounds"


def parse_privacy(text: str) -> Privacy:
    """Reads `clip=1.0,noise=0.5`.

    Raises:
      ValueError: it is something else.
    """
    parts = [part.strip().partition("=") for part in text.split(",")]
    with suppress(ValueError):
        given = {name: positive_number(number) for name, _, number in parts}
        if len(parts) == len(_NAMES) and given.keys() == set(_NAMES):
            return Privacy(**given)
    raise ValueError("clip=1.0,noise=0.5 (the longest update, and the noise in parts of it, both above 0)")


def _delta(epsilon: float, noise: float) -> float:
    return _normal(0.5 / noise - epsilon * noise) - math.exp(epsilon) * _normal(-0.5 / noise - epsilon * noise)


def _normal(value: float) -> float:
    """Φ, the standard normal distribution."""
    return 0.5 * math.erfc(-value / math.sqrt(2))
