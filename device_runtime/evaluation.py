"""What a model is worth on a split."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from device_runtime.engines.base import Engine, Vector
from device_runtime.formats.answers import probability_of
from device_runtime.formats.dataset import Split
from device_runtime.formats.model import Model
from device_runtime.formats.predictions import Predictions
from device_runtime.metrics import Metrics
from device_runtime.probabilities import probabilities_of
from device_runtime.scores import SCORES, Scores, scores_of

# A split of the dataset, or its features.
Images = Split

# The training images as they are in an epoch, counted from 0.
ImagesOfEpoch = Callable[[int], Images]


@dataclass(frozen=True)
class Evaluation:
    """What came of an evaluation.

    Attributes:
      measures: by their names, as `scores` has them.
      scores: of which they are.
      measure: the name of the one by which a training is judged: accuracy, f1 or r2.
      loss: the mean.
      images: how many samples.
      seconds: that it took.
      predictions: where each sample is of one class.
      split: the split that it is of, where that is known.
      since_best: of the evaluations that steer a training, how many came since the best one: 0 where this is the best.
    """

    measures: Mapping[str, float]
    scores: Scores
    measure: str
    loss: float
    images: int
    seconds: float
    predictions: Predictions | None
    split: str = ""
    since_best: int = 0

    @property
    def score(self) -> float:
        """By which a training is judged: the larger, the better."""
        return self.measures[self.measure]

    @cached_property
    def each(self) -> Sequence[Mapping[str, float]]:
        """The measures of each class, label or value."""
        return self.scores.each()

    def record(self, metrics: Metrics, step: int, split: str) -> None:
        """Records it as that of the whole of `split` after update `step`."""
        metrics.record(
            "evaluation",
            step=step,
            split=split,
            measure=self.measure,
            **self.measures,
            loss=self.loss,
            images=self.images,
            seconds=round(self.seconds, 3),
        )

    def record_each(self, metrics: Metrics, step: int, split: str, names: Sequence[str]) -> None:
        """Records what each class, label or value is worth, by their names; of one value alone that is known."""
        if len(self.each) > 1:
            # A model may have more outputs than its dataset has classes: of those there are no samples.
            for name, measures in zip(names, self.each, strict=False):
                metrics.record("class", step=step, split=split, name=name, **measures)


def evaluate(engine: Engine, images: Images, batch_size: int, model: Model, at_most: int | None = None) -> Evaluation:
    """Evaluates every sample of a split, or `at_most` so many, which `spread` picks; the last batch may be smaller.

    Args:
      engine: what evaluates.
      images: the split.
      batch_size: samples of one call.
      model: says what its outputs mean.
      at_most: so many samples of it alone.
    """
    started = time.perf_counter()
    order = np.arange(len(images)) if at_most is None else spread(len(images), at_most)
    count, loss_sum, target = len(order), 0.0, model.target
    scores = scores_of(target)
    how = probability_of(model.loss, target) or ""
    guesses, probabilities = np.empty(count, np.int32), np.empty(count, np.float32)
    for start in range(0, count, batch_size):
        part = slice(start, start + batch_size)
        inputs, label = images.batch(order[part])
        loss, outputs = engine.evaluate(inputs, label)
        loss_sum += loss * len(label)
        scores.add(outputs, label)
        if target.is_one_class:
            guesses[part] = np.argmax(outputs, axis=1)
            probabilities[part] = _largest_probability(outputs, how)
    predictions = None
    if target.is_one_class:
        predictions = Predictions(images.labels[order].astype(np.int32), guesses, probabilities)
    seconds = time.perf_counter() - started
    return Evaluation(scores.result(), scores, SCORES[target.kind], loss_sum / count, count, seconds, predictions)


def _largest_probability(logits: Vector, how: str) -> Vector:
    """Of logits, float32 N×classes, the probability of each image's largest one: float32 N; 0 where it is no number."""
    with np.errstate(all="ignore"):
        largest = probabilities_of(logits, how).max(axis=1)
        return np.asarray(np.nan_to_num(largest, nan=0.0), np.float32)


def spread(images: int, count: int) -> npt.NDArray[np.int64]:
    """At most `count` indices, evenly over the split, which is sorted by class."""
    return np.unique(np.linspace(0, images - 1, min(count, images)).astype(np.int64))
