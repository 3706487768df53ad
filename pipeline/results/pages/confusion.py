"""What is taken for what: a matrix of true classes and guesses, and the pairs that are confused most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from device_runtime.formats.predictions import Predictions
from pipeline.results.pages.drawing import figure, png_of, style
from pipeline.results.pages.names import short
from pipeline.results.pages.picture import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A cell is so wide that a number fits, a row so high that a name does, and a matrix as large as can be drawn.
_MOST_NUMBERED, _MOST_NAMED, _MOST_DRAWN = 12, 24, 2000
# Of more cells than there are pixels most would vanish: the largest of each block is shown.
_MOST_CELLS = 150
_MOST_PAIRS = 12
_TICKS = 10
_LONGEST_NAME = 16


@dataclass(frozen=True)
class Confused:
    """A pair of classes: so many images of `truth`, of `of` in all, are taken for `guess`."""

    truth: str
    guess: str
    count: int
    of: int


def most_confused(predictions: Predictions, names: Sequence[str]) -> list[Confused]:
    """The pairs that are confused most, the most frequent first."""
    labels, guesses = predictions.labels.astype(np.int64), predictions.guesses
    wrong = labels != guesses
    pairs, counts = np.unique(labels[wrong] * len(names) + guesses[wrong], return_counts=True)
    of = np.bincount(labels, minlength=len(names))
    first = np.argsort(-counts, kind="stable")[:_MOST_PAIRS].tolist()
    found = [(*divmod(int(pairs[place]), len(names)), int(counts[place])) for place in first]
    return [Confused(names[truth], names[guess], count, int(of[truth])) for truth, guess, count in found]


def confusion_matrix(predictions: Predictions, names: Sequence[str]) -> Picture | None:
    """The matrix, a row for each true class, coloured by the share of the row; None where there are too many."""
    count = len(names)
    if count > _MOST_DRAWN:
        return None
    places = predictions.labels.astype(np.int64) * count + predictions.guesses
    matrix = np.bincount(places, minlength=count * count).reshape(count, count)
    with style():
        size = 4.4 if count <= _MOST_NUMBERED else 5.6
        drawn = figure(size * 0.9, size)
        axes = drawn.add_subplot()
        shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        edges = (-0.5, count - 0.5, count - 0.5, -0.5)
        image = axes.imshow(_blocks(shares), cmap="Blues", vmin=0, vmax=1, interpolation="nearest", extent=edges)
        axes.grid(visible=False)
        axes.set_xlabel("guess")
        axes.set_ylabel("truth")
        if count <= _MOST_NAMED:
            _name_ticks(axes, names)
        else:
            axes.locator_params(nbins=_TICKS, integer=True)
        if count <= _MOST_NUMBERED:
            _write_numbers(axes, matrix, shares)
        drawn.colorbar(image, ax=axes, shrink=0.8, label="share of the true class")
        return Picture("confusion", "Confusion matrix", png_of(drawn))


def _blocks(shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The largest share of each block of classes, so that a side has no more than `_MOST_CELLS`."""
    side = -(-len(shares) // _MOST_CELLS)
    starts = np.arange(0, len(shares), side)
    largest: npt.NDArray[np.float64] = np.maximum.reduceat(np.maximum.reduceat(shares, starts, axis=0), starts, axis=1)
    return largest


def _name_ticks(axes: Axes, names: Sequence[str]) -> None:
    shown = [short(name, _LONGEST_NAME) for name in names]
    size = 9 if len(names) <= _MOST_NUMBERED else 7
    flat = len(names) <= _MOST_NUMBERED and max(map(len, shown)) <= 2
    axes.set_xticks(range(len(names)), shown, fontsize=size, rotation=0 if flat else 90)
    axes.set_yticks(range(len(names)), shown, fontsize=size)


def _write_numbers(axes: Axes, matrix: npt.NDArray[np.int64], shares: npt.NDArray[np.float64]) -> None:
    """Zeros, which most cells are, stay empty."""
    size = 9 if matrix.max() < 1000 and len(matrix) <= 10 else 7
    for row, column in np.argwhere(matrix).tolist():
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=colour, fontsize=size)
