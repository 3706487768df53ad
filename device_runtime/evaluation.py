"""Accuracy over a split."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from device_runtime.engines.base import Engine, Vector
from device_runtime.formats.answers import PROBABILITIES
from device_runtime.formats.predictions import Predictions
from device_runtime.metrics import Metrics
from device_runtime.probabilities import probabilities_of


class Images(Protocol):
    """A split of the dataset, or its cached features."""

    labels: npt.NDArray[np.int64]

    def __len__(self) -> int: ...

    def batch(self, indices: npt.NDArray[np.int64]) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
        """What the engine takes for these images, and their labels."""
        ...


# The training images as they are in an epoch, counted from 0.
ImagesOfEpoch = Callable[[int], Images]


@dataclass(frozen=True)
class Evaluation:
    """Accuracy (share of images whose largest logit is their label's) and mean loss over `images` images.

    Attributes:
      split: the split that it is of, where that is known.
      since_best: of the evaluations that steer a training, how many came since the best one: 0 where this is the best.
    """

    accuracy: float
    loss: float
    images: int
    seconds: float
    predictions: Predictions
    split: str = ""
    since_best: int = 0

    def record(self, metrics: Metrics, step: int, split: str) -> None:
        """Records it as that of the whole of `split` after update `step`."""
        metrics.record(
            "evaluation",
            step=step,
            split=split,
            accuracy=self.accuracy,
            loss=self.loss,
            images=self.images,
            seconds=round(self.seconds, 3),
        )


def evaluate(
    engine: Engine, images: Images, batch_size: int, trained_by: str, at_most: int | None = None
) -> Evaluation:
    """Evaluates every image of a split, or `at_most` so many, which `spread` picks; the last batch may be smaller.

    Args:
      engine: what evaluates.
      images: the split.
      batch_size: images of one call.
      trained_by: name of the loss, which says what makes probabilities of logits.
      at_most: so many images of it alone.
    """
    started = time.perf_counter()
    order = np.arange(len(images)) if at_most is None else spread(len(images), at_most)
    count, loss_sum = len(order), 0.0
    guesses, probabilities = np.empty(count, np.int32), np.empty(count, np.float32)
    for start in range(0, count, batch_size):
        part = slice(start, start + batch_size)
        inputs, label = images.batch(order[part])
        loss, logits = engine.evaluate(inputs, label)
        loss_sum += loss * len(label)
        guesses[part] = np.argmax(logits, axis=1)
        probabilities[part] = _largest_probability(logits, trained_by)
    labels = images.labels[order].astype(np.int32)
    accuracy = int(np.count_nonzero(guesses == labels)) / count
    predictions = Predictions(labels, guesses, probabilities)
    return Evaluation(accuracy, loss_sum / count, count, time.perf_counter() - started, predictions)


def _largest_probability(logits: Vector, trained_by: str) -> Vector:
    """Of logits, float32 N×classes, the probability of each image's largest one: float32 N; 0 where it is no number."""
    with np.errstate(all="ignore"):
        largest = probabilities_of(logits, PROBABILITIES[trained_by]).max(axis=1)
        return np.asarray(np.nan_to_num(largest, nan=0.0), np.float32)


def spread(images: int, count: int) -> npt.NDArray[np.int64]:
    """At most `count` indices, evenly over the split, which is sorted by class."""
    return np.unique(np.linspace(0, images - 1, min(count, images)).astype(np.int64))
