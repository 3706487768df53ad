"""answers.json comes back as it was written, and what answers something else is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from device_runtime.formats.answers import FILE_NAME, Answers, probability_of, read_answers, write_answers
from device_runtime.formats.errors import FormatError
from device_runtime.formats.sample import CLASS, LABELS, VALUES, Target

ANSWERS = Answers("1.2.3", "aarch64, 8 cores", 2, 7, 1.5, ((1, 0), (2,)), ((0.75, 0.25), (1.0,)))


def test_answers_come_back(tmp_path: Path) -> None:
    write_answers(tmp_path, ANSWERS)
    assert read_answers(tmp_path, 2, 3) == ANSWERS
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"format": 2}, "format 2, not 1"),
        ({"labels": [[1]]}, "it answers 1 images, not 2"),
        ({"labels": [[1, 1], [2]]}, "has no class, or one twice"),
        ({"labels": [[], [2]], "probabilities": [[], [1]]}, "has no class, or one twice"),
        ({"labels": [[1, 3], [2]]}, "a class is 3, not below 3"),
        ({"labels": [[1, -1], [2]]}, "a class is"),
        ({"probabilities": [[0.5, 1.5], [1]]}, "a probability is none"),
        ({"threads": 0}, "counts below"),
        ({"machine": "a\u001b[2J"}, "no plain name"),
        ({"extra": 1}, "unknown 'extra'"),
    ],
)
def test_what_cannot_be_meant_is_refused(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    write_answers(tmp_path, ANSWERS)
    record = json.loads((tmp_path / FILE_NAME).read_text()) | changed
    (tmp_path / FILE_NAME).write_text(json.dumps(record))
    with pytest.raises(FormatError, match=message):
        read_answers(tmp_path, 2, 3)


def test_no_answer_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="the target answered nothing: ask again"):
        read_answers(tmp_path, 2, 3)


@pytest.mark.parametrize(
    ("loss", "target", "how"),
    [
        ("mean_squared_error", Target(CLASS, 3), "clip"),
        ("custom", Target(CLASS, 3), "softmax"),
        ("custom", Target(LABELS, 3, (3,)), "sigmoid"),
        ("mean_squared_error", Target(VALUES, 3, (3,)), None),
        ("huber", Target(VALUES, 3, (3,)), None),
    ],
)
def test_what_makes_probabilities(loss: str, target: Target, how: str | None) -> None:
    assert probability_of(loss, target) == how
