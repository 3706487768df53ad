"""What a training records of its last evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from device_runtime.evaluation import evaluate
from device_runtime.formats.predictions import predictions_name, read_predictions
from tests.device_runtime.small_model import TINY, execute, write_package


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_package(tmp_path / "package")


def test_a_training_records_what_it_says_of_every_test_image(package: Path, tmp_path: Path) -> None:
    execute(package, tmp_path / "output", "-c", "40")
    records = [json.loads(line) for line in (tmp_path / "output" / "metrics.jsonl").read_text().splitlines()]
    last = [record for record in records if record["event"] == "evaluation"][-1]
    heading, found = read_predictions(tmp_path / "output" / predictions_name(40))
    assert (heading.run, heading.split, heading.classes) == (records[0]["run"], "test", 3)
    assert heading.images == last["images"] == 33
    assert found.labels.tolist() == [0] * 11 + [1] * 11 + [2] * 11
    assert np.count_nonzero(found.labels == found.guesses) / 33 == last["accuracy"]
    # Of three classes the largest has at least a third.
    assert found.probabilities.min() >= np.float32(1 / 3)


def test_an_evaluation_alone_records_none(package: Path, tmp_path: Path) -> None:
    assert execute(package, tmp_path / "output", "-c", "0") == ["evaluation_0.jsonl"]


def test_logits_beyond_all_numbers_have_no_probability() -> None:
    class Wild:
        """An engine whose logits overflow."""

        def evaluate(self, inputs, label):  # type: ignore[no-untyped-def]
            """One image that is sure, one that is nonsense."""
            return 0.5, np.array([[0, np.inf, 0], [1e38, -1e38, 0]], np.float32)

    class Two:
        """Two images."""

        labels = np.array([1, 0])

        def __len__(self) -> int:
            return 2

        def batch(self, indices):  # type: ignore[no-untyped-def]
            """Their labels."""
            return indices, self.labels[indices]

    found = evaluate(Wild(), Two(), 2, TINY).predictions  # type: ignore[arg-type]
    assert found
    assert found.probabilities.tolist() == [0, 1]
    assert found.guesses.tolist() == [1, 0]
