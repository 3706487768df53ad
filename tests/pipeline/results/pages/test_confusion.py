"""What is taken for what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from device_runtime.formats.errors import FormatError
from pipeline.results.pages.confusion import Confused, confusion_matrix, most_confused
from pipeline.results.pages.names import names_of, short
from pipeline.results.pages.wrong import MOST, sheet, wrong_images
from pipeline.results.records.results import Predicted
from tests.pipeline.results.made import guessed, write_dataset

NAMES = ["cat", "dog", "owl"]


def test_pairs_are_told_in_their_frequency() -> None:
    found = guessed([0, 0, 0, 1, 1, 2], [1, 1, 0, 2, 1, 2])
    assert most_confused(found, NAMES) == [Confused("cat", "dog", 2, 3), Confused("dog", "owl", 1, 2)]


def test_where_nothing_is_wrong_nothing_is_confused() -> None:
    assert most_confused(guessed([0, 1], [0, 1]), NAMES) == []


@pytest.mark.parametrize("classes", [2, 12, 13, 24, 25, 151, 2000])
def test_a_matrix_of_some_classes_is_drawn(classes: int, capfd: pytest.CaptureFixture[str]) -> None:
    names = [f"$\\frac{index}$" for index in range(classes)]
    labels = list(range(classes))
    picture = confusion_matrix(guessed(labels, labels[::-1]), names)
    assert picture
    assert picture.png[:4] == b"\x89PNG"
    assert capfd.readouterr() == ("", "")


def test_one_of_a_million_classes_is_a_table_alone() -> None:
    names = [str(index) for index in range(10**6)]
    found = guessed([0, 999_999], [999_999, 999_999])
    assert confusion_matrix(found, names) is None
    assert most_confused(found, names) == [Confused("0", "999999", 1, 1)]


def test_the_images_that_it_is_surest_of_come_first(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "dataset", tuple(NAMES), [2, 3, 0])
    found = wrong_images(dataset, Predicted("test", 3, guessed([0, 0, 1, 1, 1], [0, 2, 1, 0, 2])), NAMES)
    assert [(image.guess, image.truth) for image in found] == [("owl", "dog"), ("cat", "dog"), ("owl", "cat")]
    assert found[0].probability == 1
    assert sheet(found[:1]).png[:4] == b"\x89PNG"


def test_of_many_some_are_shown(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "dataset", tuple(NAMES), [50, 0, 0])
    assert len(wrong_images(dataset, Predicted("test", 3, guessed([0] * 50, [1] * 50)), NAMES)) == MOST


def test_another_dataset_is_refused(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "dataset", tuple(NAMES), [1, 2, 0])
    for split, labels in (("test", [0, 0, 1]), ("test", [0, 1]), ("validation", [0, 1, 1])):
        with pytest.raises(FormatError, match="is not the dataset that was evaluated"):
            wrong_images(dataset, Predicted(split, 3, guessed(labels, [2] * len(labels))), NAMES)


def test_a_long_name_keeps_both_its_ends() -> None:
    assert short("owl", 8) == "owl"
    assert short("a very long name", 8) == "a v…name"
    assert short("two\nlines", 20) == "two\\nlines"
    assert len(short("x" * 300, 13)) == 13


def test_outputs_without_a_name_have_a_number() -> None:
    assert names_of(("a", "b"), 3) == ["a", "b", "class 2"]
    assert np.all([name in ("a",) for name in names_of(("a", "b"), 1)])
