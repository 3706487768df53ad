"""Minimal filtering: m outputs of a filter of r taps by m + r − 1 multiplications instead of m · r.

Two polynomials are multiplied by their values at m + r − 1 points, infinity among them; what multiplies them,
transposed, filters. Winograd, "Arithmetic Complexity of Computations" (1980); for convolutions Lavin and Gray,
arXiv:1509.09308. The fractions are exact until the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import lcm

import numpy as np

# 0, small fractions and their negatives cancel best; of 78 pairs, −2 and 1/2 with the first three rounded least.
_POINTS = (Fraction(0), Fraction(1), Fraction(-1), Fraction(-2), Fraction(1, 2))

_Rows = list[list[Fraction]]


@dataclass(frozen=True)
class Filtering:
    """outputs = `back` · ((`taps` · filter) × (`patch` · inputs)), element by element, for one axis; all float64.

    Attributes:
      patch: points × (m + r − 1).
      taps: points × r.
      back: m × points.
    """

    patch: np.ndarray
    taps: np.ndarray
    back: np.ndarray


@cache
def filtering(outputs: int, taps: int) -> Filtering:
    """The matrices for `outputs` outputs (2 to 4 for 3 taps)."""
    count = outputs + taps - 1
    points = _POINTS[: count - 1]
    interpolating = [list(row) for row in zip(*_inverse(_powers(points, count)), strict=True)]
    # Whole numbers on the side of the inputs, their denominators on that of the taps.
    scales = [lcm(*(value.denominator for value in row)) for row in interpolating]
    patch = [[value * scale for value in row] for row, scale in zip(interpolating, scales, strict=True)]
    scaled = [[value / scale for value in row] for row, scale in zip(_powers(points, taps), scales, strict=True)]
    return Filtering(_array(patch), _array(scaled), _array(_powers(points, outputs)).T)


def _powers(points: tuple[Fraction, ...], count: int) -> _Rows:
    """What the coefficients of a polynomial contribute to its value at each point, and at infinity: its highest."""
    return [
        *([point**power for power in range(count)] for point in points),
        [Fraction(0)] * (count - 1) + [Fraction(1)],
    ]


def _inverse(rows: _Rows) -> _Rows:
    """Gauss and Jordan's elimination."""
    size = len(rows)
    both = [[*row, *(Fraction(int(place == index)) for place in range(size))] for index, row in enumerate(rows)]
    for column in range(size):
        pivot = next(index for index in range(column, size) if both[index][column])
        both[column], both[pivot] = both[pivot], both[column]
        both[column] = [value / both[column][column] for value in both[column]]
        for index in set(range(size)) - {column}:
            factor = both[index][column]
            both[index] = [value - factor * other for value, other in zip(both[index], both[column], strict=True)]
    return [row[size:] for row in both]


def _array(rows: _Rows) -> np.ndarray:
    return np.array([[float(value) for value in row] for row in rows])
