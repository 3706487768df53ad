"""What a model says of each image, on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from device_runtime.formats.errors import FormatError
from device_runtime.formats.predictions import (
    Heading,
    Predictions,
    predictions_name,
    read_predictions,
    write_predictions,
)

HEADING = Heading("0a1b", 7, "test", 3, 4)
PREDICTIONS = Predictions(
    np.array([0, 1, 2, 2], np.int32), np.array([0, 2, 0, 2], np.int32), np.array([1, 0.5, 0.75, 0.25], np.float32)
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_predictions(tmp_path, PREDICTIONS, HEADING)
    return tmp_path / predictions_name(7)


def test_what_is_written_is_read(path: Path) -> None:
    heading, found = read_predictions(path)
    assert heading == HEADING
    assert found.labels.tolist() == [0, 1, 2, 2]
    assert found.guesses.tolist() == [0, 2, 0, 2]
    assert found.probabilities.tolist() == [1, 0.5, 0.75, 0.25]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_the_wrong_ones_that_it_is_surest_of_come_first() -> None:
    assert PREDICTIONS.wrong().tolist() == [2, 1]


def test_seventy_thousand_images_take_twelve_bytes_each(tmp_path: Path) -> None:
    many = Predictions(np.zeros(70_000, np.int32), np.zeros(70_000, np.int32), np.ones(70_000, np.float32))
    write_predictions(tmp_path, many, replace(HEADING, images=70_000))
    size_bytes = (tmp_path / predictions_name(7)).stat().st_size
    assert 70_000 * 12 < size_bytes < 70_000 * 12 + 200


@pytest.mark.parametrize("cut", [0, 1, 20, -1])
def test_a_file_that_is_cut_short_is_refused(path: Path, cut: int) -> None:
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(FormatError, match=r"predictions_7\.bin is damaged \(.*pull it again"):
        read_predictions(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"format": 1', b'"format": 2'),
        (b'"format": 1, ', b""),
        (b'"images": 4', b'"images": 5'),
        (b'"images": 4', b'"images": 9223372036854775807'),
        (b'"images": 4', b'"images": -4'),
        (b'"classes": 3', b'"classes": 2'),
        (b'"step": 7', b'"step": true'),
        (np.float32(0.75).tobytes(), np.float32(1.5).tobytes()),
        (np.float32(0.75).tobytes(), np.float32("nan").tobytes()),
        (np.array([1, 2], np.int32).tobytes(), np.array([1, -2], np.int32).tobytes()),
        (b"\n", b" "),
    ],
)
def test_what_cannot_be_meant_is_refused(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    with pytest.raises(FormatError, match=r"predictions_7\.bin is damaged"):
        read_predictions(path)


def test_a_file_that_goes_on_is_refused(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(FormatError, match="not as long as 4 images take"):
        read_predictions(path)


def test_a_missing_file_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="No such file"):
        read_predictions(tmp_path / "predictions_1.bin")
