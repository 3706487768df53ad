"""train/, val/ and test/ with class folders: torchvision's layout."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from device_runtime.formats.dataset import Dataset
from tests.pipeline.datasets.image_files import converted, write_folders, write_image
from tests.pipeline.datasets.layouts.test_image_folder import refusal, told


def write_splits(folder: Path, **counts: int) -> None:
    """Class folders a and b in a folder for each split, no two images alike."""
    first = 0
    for split, count in counts.items():
        for name in ("a", "b"):
            for number in range(count):
                write_image(folder / split / name / f"{number}.png", first + number)
            first += count


def counts_of(dataset: Dataset) -> dict[str, list[int]]:
    return {name: np.bincount(split.labels).tolist() for name, split in dataset.splits.items()}


@pytest.mark.parametrize("validation", ["val", "valid", "validation", "Val"])
def test_given_splits_are_kept(validation: str, tmp_path: Path) -> None:
    write_splits(tmp_path / "in", **{"train": 10, validation: 4, "test": 3})
    dataset = converted(tmp_path / "in")
    assert dataset.classes == ("a", "b")
    assert counts_of(dataset) == {"train": [10, 10], "test": [3, 3], "validation": [4, 4]}


def test_what_is_missing_comes_out_of_train(tmp_path: Path) -> None:
    write_splits(tmp_path / "val", train=12, val=5)
    assert counts_of(converted(tmp_path / "val")) == {"train": [9, 9], "test": [3, 3], "validation": [5, 5]}
    write_splits(tmp_path / "test", train=12, test=5)
    assert counts_of(converted(tmp_path / "test")) == {"train": [9, 9], "test": [5, 5], "validation": [3, 3]}
    write_splits(tmp_path / "alone", train=10)
    assert counts_of(converted(tmp_path / "alone")) == {"train": [6, 6], "test": [2, 2], "validation": [2, 2]}


def test_split_folders_may_lie_deeper(tmp_path: Path) -> None:
    write_splits(tmp_path / "in" / "data" / "images", train=12, val=5)
    assert "everything lies in data/images/ there" in told(tmp_path / "in")


def test_val_without_train_is_refused(tmp_path: Path) -> None:
    write_splits(tmp_path / "in", val=10)
    assert "has val/ but no train/" in refusal(tmp_path / "in")
    write_splits(tmp_path / "in", test=10)
    assert "has test/ and val/ but no train/" in refusal(tmp_path / "in")


def test_a_class_that_train_lacks_is_named_unless_it_is_left_out(tmp_path: Path) -> None:
    write_splits(tmp_path / "in", train=10, val=5)
    write_image(tmp_path / "in" / "val" / "c" / "x.png", 900)
    assert "train/ lacks classes of other splits: c (val)" in refusal(tmp_path / "in")
    assert converted(tmp_path / "in", "a", "b").classes == ("a", "b")


def test_a_class_without_a_usable_training_image_is_named(tmp_path: Path) -> None:
    write_splits(tmp_path / "in", train=10, val=5)
    write_image(tmp_path / "in" / "val" / "c" / "x.png", 900)
    (tmp_path / "in" / "train" / "c").mkdir()
    assert "no usable image to train on of c" in refusal(tmp_path / "in")


def test_two_folders_for_one_split_are_refused(tmp_path: Path) -> None:
    write_splits(tmp_path / "in", train=10, val=5, valid=5)
    assert "both val/ and valid/ are for one split" in refusal(tmp_path / "in")


def test_other_folders_beside_the_splits_are_left_out(tmp_path: Path) -> None:
    write_splits(tmp_path / "in", train=12, val=5)
    write_folders(tmp_path / "in" / "extra", ("c",), 3)
    assert converted(tmp_path / "in").classes == ("a", "b")
    assert told(tmp_path / "in")[0] == "left out: folders beside those of the splits 1 (extra)"


def test_unlabelled_test_images_are_left_out(tmp_path: Path) -> None:
    write_splits(tmp_path / "in", train=10)
    for number in range(4):
        write_image(tmp_path / "in" / "test" / f"{number}.png", 900 + number)
    assert counts_of(converted(tmp_path / "in"))["test"] == [2, 2]
    assert told(tmp_path / "in")[0].startswith("left out: images outside of every class's folder 4 (test/0.png, ")


def test_classes_may_be_called_like_splits(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("train", "bus"), 10)
    assert converted(tmp_path / "in").classes == ("bus", "train")


def test_splits_without_classes_are_refused_unless_they_are_named_as_such(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("train", "test"), 10)
    assert "has test/ and train/ without a folder for each class in them" in refusal(tmp_path / "in")
    assert converted(tmp_path / "in", "test", "train").classes == ("test", "train")


def test_where_all_of_train_is_in_val_too_the_copies_are_named(tmp_path: Path) -> None:
    write_folders(tmp_path / "in" / "train", ("a", "b"), 5)
    shutil.copytree(tmp_path / "in" / "train", tmp_path / "in" / "val")
    line = refusal(tmp_path / "in")
    assert "of 20 images none fell into test (copies of one another, kept in one split: 20 images: " in line


def test_an_image_of_both_sides_is_only_in_the_test(tmp_path: Path) -> None:
    write_splits(tmp_path / "in", train=10, val=5, test=5)
    shutil.copy(tmp_path / "in" / "test" / "a" / "0.png", tmp_path / "in" / "train" / "a" / "0.png")
    dataset = converted(tmp_path / "in")
    assert counts_of(dataset) == {"train": [9, 10], "test": [6, 5], "validation": [5, 5]}
    files = {strip.file for strip in dataset.description.splits["test"]}
    assert {"test/a/0.png.bmp", "test/a/train~0.png.bmp"} < files
    assert "kept in one split: 2 images: test/a/0.png = train/a/0.png" in "".join(told(tmp_path / "in"))
