"""What a model's outputs are worth beside their targets: the measures of a split, summed up batch by batch.

Names and definitions are scikit-learn's: of several classes, labels or values the plain mean over those there are
(`macro`, `uniform_average`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from device_runtime.formats.sample import CLASS, LABELS, VALUES, Target

Array = npt.NDArray[Any]

# By which a training is judged: the larger, the better, at most 1.
SCORES = {CLASS: "accuracy", LABELS: "f1", VALUES: "r2"}

# Where there are more classes than that.
TOP = 5


class Scores(Protocol):
    """Sums up batches."""

    def add(self, outputs: Array, targets: Array) -> None:
        """Takes a batch: outputs float32 N×`Target.output`, targets N×`Target.shape`."""
        ...

    def result(self) -> Mapping[str, float]:
        """Every measure by its name, the score first."""
        ...

    def each(self) -> list[Mapping[str, float]]:
        """Those of each class, label or value alone, the first the one to sort by; `count` is how many there were."""
        ...


def scores_of(target: Target) -> Scores:
    """Those of a kind of targets."""
    kinds: dict[str, type[ClassScores] | type[LabelScores] | type[ValueScores]]
    kinds = {CLASS: ClassScores, LABELS: LabelScores}
    return kinds.get(target.kind, ValueScores)(target)


class ClassScores:
    """Accuracy, with more than five classes that of the best five, and macro F1; positions without a class count not.

    Attributes:
      counts: by class how many were guessed rightly, guessed, and there.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._in_top = 0
        self.counts = np.zeros((3, target.count), np.int64)

    def add(self, outputs: Array, targets: Array) -> None:
        """See `Scores`."""
        count = self._target.count
        outputs = np.moveaxis(outputs, 1, -1).reshape(-1, count)
        classes = targets.reshape(-1)
        if self._target.ignore is not None:
            there = classes != self._target.ignore
            outputs, classes = outputs[there], classes[there]
        guesses = np.argmax(outputs, axis=1)
        for row, found in zip(self.counts, (classes[guesses == classes], guesses, classes), strict=True):
            row += np.bincount(found, minlength=count)
        if count > TOP:
            own = outputs[np.arange(len(classes)), classes]
            self._in_top += int(np.count_nonzero((outputs > own[:, None]).sum(axis=1) < TOP))

    def result(self) -> Mapping[str, float]:
        """See `Scores`."""
        right, guessed, there = self.counts
        images = max(1, int(there.sum()))
        top = {f"top{TOP}": self._in_top / images} if self._target.count > TOP else {}
        return {"accuracy": int(right.sum()) / images, **top, "f1": _macro_f1(right, guessed, there)}

    def each(self) -> list[Mapping[str, float]]:
        """See `Scores`."""
        return _each(*self.counts)


class LabelScores:
    """Of several labels: macro F1 where a logit above 0 says yes, the area under the ROC curve, and accuracy."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._outputs: list[Array] = []
        self._targets: list[Array] = []

    def add(self, outputs: Array, targets: Array) -> None:
        """See `Scores`."""
        self._outputs.append(outputs.copy())
        self._targets.append(targets > 0.5)

    def result(self) -> Mapping[str, float]:
        """See `Scores`."""
        outputs, there = self._all()
        guessed = outputs > 0
        f1 = _macro_f1(*_counts(guessed, there))
        areas = [_area(column, yes) for column, yes in zip(outputs.T, there.T, strict=True) if 0 < yes.sum() < len(yes)]
        auc = {"auc": float(np.mean(areas))} if areas else {}
        return {"f1": f1, **auc, "accuracy": float(np.mean(guessed == there)) if there.size else 0.0}

    def each(self) -> list[Mapping[str, float]]:
        """See `Scores`."""
        outputs, there = self._all()
        return _each(*_counts(outputs > 0, there))

    def _all(self) -> tuple[Array, npt.NDArray[np.bool_]]:
        empty = np.empty((0, self._target.count))
        return np.concatenate([empty, *self._outputs]), np.concatenate([empty > 0, *self._targets])


class ValueScores:
    """R², mean absolute error and the root of the mean squared one, in double precision."""

    def __init__(self, target: Target) -> None:
        self._count = 0
        self._sums = np.zeros((4, target.count))

    def add(self, outputs: Array, targets: Array) -> None:
        """See `Scores`."""
        wanted = targets.astype(np.float64)
        if not self._count:
            # Sums of squares around some value of the data lose no digits to a mean far from 0.
            self._around = wanted[0]
        away, error = wanted - self._around, outputs - wanted
        self._count += len(wanted)
        columns = (away, away * away, error * error, np.abs(error))
        self._sums += np.array([column.sum(axis=0) for column in columns])

    def result(self) -> Mapping[str, float]:
        """See `Scores`."""
        count = max(1, self._count)
        _, _, squares, absolutes = self._sums
        means = float(absolutes.mean() / count), float(np.sqrt(squares.mean() / count))
        return {"r2": float(self._r2().mean()), "mae": means[0], "rmse": means[1]}

    def each(self) -> list[Mapping[str, float]]:
        """See `Scores`."""
        count = max(1, self._count)
        columns = (self._r2(), self._sums[3] / count, np.sqrt(self._sums[2] / count))
        return [
            {"r2": r2, "mae": mae, "rmse": rmse, "count": self._count}
            for r2, mae, rmse in zip(*(column.tolist() for column in columns), strict=True)
        ]

    def _r2(self) -> Array:
        away, away_squares, squares, _ = self._sums
        spread = away_squares - away * away / max(1, self._count)
        # As scikit-learn has it: what never changes and is always met counts 1, otherwise 0.
        rest = np.where(squares > 0, 0.0, 1.0)
        return np.where(spread > 0, 1 - squares / np.where(spread > 0, spread, 1), rest)


def _counts(guessed: Array, there: Array) -> tuple[Array, Array, Array]:
    """Of booleans N×K, for each column: how many are both, how many each."""
    return (guessed & there).sum(axis=0), guessed.sum(axis=0), there.sum(axis=0)


def _each(right: Array, guessed: Array, there: Array) -> list[Mapping[str, float]]:
    """F1, precision and recall of each class: 0 where there is nothing to divide by, as scikit-learn has it."""
    columns = (2 * right / np.maximum(guessed + there, 1), right / np.maximum(guessed, 1), right / np.maximum(there, 1))
    return [
        {"f1": f1, "precision": precision, "recall": recall, "count": count}
        for f1, precision, recall, count in zip(*(c.tolist() for c in columns), there.tolist(), strict=True)
    ]


def _macro_f1(right: Array, guessed: Array, there: Array) -> float:
    """Mean over those that were guessed or there."""
    sums = guessed + there
    met = sums > 0
    return float(np.mean(2 * right[met] / sums[met])) if met.any() else 0.0


def _area(logits: Array, yes: npt.NDArray[np.bool_]) -> float:
    """Area under the ROC curve by the ranks of the logits (Mann and Whitney), equal ones sharing theirs."""
    _, places, counts = np.unique(logits, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[places.reshape(-1)]
    positive = int(yes.sum())
    above = float(ranks[yes].sum()) - positive * (positive + 1) / 2
    return above / (positive * (len(yes) - positive))
