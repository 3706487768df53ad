"""Measures are what their definitions say, summed up in batches of any size."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from device_runtime.formats.sample import CLASS, LABELS, VALUES, Target
from device_runtime.scores import Scores, scores_of

RANDOM = np.random.default_rng(3)


def in_batches(target: Target, outputs: npt.NDArray[np.float32], targets: npt.NDArray[np.generic]) -> dict[str, float]:
    scores: Scores = scores_of(target)
    for start in range(0, len(outputs), 7):
        scores.add(outputs[start : start + 7], targets[start : start + 7])
    return dict(scores.result())


def f1_of(right: int, guessed: int, there: int) -> float:
    precision, recall = right / guessed if guessed else 0, right / there if there else 0
    return 2 * precision * recall / (precision + recall) if right else 0.0


def test_of_classes() -> None:
    logits, label = RANDOM.normal(size=(50, 8)).astype(np.float32), RANDOM.integers(0, 8, 50)
    found = in_batches(Target(CLASS, 8), logits, label)
    guess = logits.argmax(1)
    best = np.argsort(-logits, axis=1)[:, :5]
    assert found["accuracy"] == np.mean(guess == label)
    assert found["top5"] == np.mean([own in row for own, row in zip(label, best, strict=True)])
    counts = [(np.sum((guess == k) & (label == k)), np.sum(guess == k), np.sum(label == k)) for k in range(8)]
    assert found["f1"] == pytest.approx(np.mean([f1_of(*map(int, count)) for count in counts if sum(count)]))


def test_each_class_and_label_has_its_own_measures() -> None:
    """As scikit-learn's classification_report has them, of classes and of labels that say the same."""
    logits, label = RANDOM.normal(size=(50, 4)).astype(np.float32), RANDOM.integers(0, 3, 50)
    classes, labels = scores_of(Target(CLASS, 4)), scores_of(Target(LABELS, 4, (4,)))
    for start in range(0, 50, 7):
        classes.add(logits[start : start + 7], label[start : start + 7])
    guess = logits.argmax(1)
    labels.add(np.where(np.eye(4)[guess] > 0, 1, -1).astype(np.float32), np.eye(4)[label].astype(np.float32))
    found = classes.each()
    assert found == labels.each()
    for k, measures in enumerate(found):
        right, guessed, there = np.sum((guess == k) & (label == k)), np.sum(guess == k), np.sum(label == k)
        assert measures["count"] == there
        assert measures["precision"] == pytest.approx(right / guessed)
        assert measures["recall"] == pytest.approx(right / max(1, there))
        assert measures["f1"] == pytest.approx(f1_of(int(right), int(guessed), int(there)))
    # Nobody was of the last one.
    assert (found[3]["recall"], found[3]["f1"], found[3]["count"]) == (0, 0, 0)


def test_each_value_has_its_own_measures() -> None:
    outputs, values = RANDOM.normal(size=(30, 3)).astype(np.float32), RANDOM.normal(5, 2, (30, 3)).astype(np.float32)
    together, found = in_batches(Target(VALUES, 3, (3,)), outputs, values), scores_of(Target(VALUES, 3, (3,)))
    found.add(outputs, values)
    each = found.each()
    errors = (outputs - values).astype(np.float64)
    assert [row["mae"] for row in each] == pytest.approx(np.abs(errors).mean(axis=0).tolist(), rel=1e-6)
    assert [row["rmse"] for row in each] == pytest.approx(np.sqrt((errors**2).mean(axis=0)).tolist(), rel=1e-6)
    assert np.mean([row["r2"] for row in each]) == pytest.approx(together["r2"])


def test_five_classes_have_no_best_five() -> None:
    assert set(in_batches(Target(CLASS, 5), np.eye(5, dtype=np.float32), np.arange(5))) == {"accuracy", "f1"}


def test_a_position_without_a_class_counts_not() -> None:
    logits, label = RANDOM.normal(size=(20, 3, 4)).astype(np.float32), RANDOM.integers(-1, 3, (20, 4))
    there = label != -1
    found = in_batches(Target(CLASS, 3, (4,), -1), logits, label)
    assert found["accuracy"] == np.mean((logits.argmax(1) == label)[there])


def test_of_labels() -> None:
    logits, label = RANDOM.normal(size=(40, 3)).round(1).astype(np.float32), RANDOM.integers(0, 2, (40, 3))
    # One that always holds has no curve.
    label[:, 2] = 1
    found = in_batches(Target(LABELS, 3, (3,)), logits, label.astype(np.float32))
    areas = []
    for column, yes in zip(logits.T[:2], label.T[:2], strict=True):
        pairs = list(itertools.product(column[yes == 1], column[yes == 0]))
        areas.append(np.mean([1.0 if one > other else 0.5 if one == other else 0.0 for one, other in pairs]))
    assert found["auc"] == pytest.approx(np.mean(areas))
    assert found["accuracy"] == np.mean((logits > 0) == (label == 1))
    counts = [
        (np.sum((z > 0) & (y == 1)), np.sum(z > 0), np.sum(y == 1)) for z, y in zip(logits.T, label.T, strict=True)
    ]
    assert found["f1"] == pytest.approx(np.mean([f1_of(*map(int, count)) for count in counts]))


def test_of_values() -> None:
    outputs = RANDOM.normal(size=(60, 2)).astype(np.float32)
    wanted = (outputs + RANDOM.normal(size=(60, 2)) / 3 + [0, 1e4]).astype(np.float32)
    outputs += np.array([0, 1e4], np.float32)
    found = in_batches(Target(VALUES, 2, (2,)), outputs, wanted)
    exact, error = wanted.astype(np.float64), outputs.astype(np.float64) - wanted
    spread = ((exact - exact.mean(0)) ** 2).sum(0)
    assert found["r2"] == pytest.approx(np.mean(1 - (error**2).sum(0) / spread), abs=1e-9)
    assert found["mae"] == pytest.approx(np.abs(error).mean())
    assert found["rmse"] == pytest.approx(np.sqrt((error**2).mean()))


@pytest.mark.parametrize(("output", "r2"), [(2.0, 1.0), (2.5, 0.0)])
def test_a_value_that_never_changes(output: float, r2: float) -> None:
    outputs, wanted = np.full((9, 1), output, np.float32), np.full((9, 1), 2, np.float32)
    assert in_batches(Target(VALUES, 1, (1,)), outputs, wanted)["r2"] == r2
