"""EMNIST's files: other names, letters from 1, transposed images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from device_runtime.formats.dataset import load_dataset
from pipeline.datasets.convert import ConvertOptions, convert
from pipeline.errors import DatasetError
from tests.pipeline.datasets.mnist import write_idx, write_mnist

CLASSES = {"letters": 26, "balanced": 47, "byclass": 62, "bymerge": 47, "digits": 10, "mnist": 10}


def write_emnist(folder: Path, name: str, suffix: str = "", first: int | None = None) -> np.ndarray:
    """Two images of each class in both splits; returns the upright images of train."""
    count = CLASSES[name]
    start = (1 if name == "letters" else 0) if first is None else first
    labels = (np.arange(2 * count) % count + start).astype(np.uint8)
    images = np.random.default_rng(5).integers(0, 256, (2 * count, 28, 28), np.uint8)
    for split in ("train", "test"):
        write_idx(folder / f"emnist-{name}-{split}-images-idx3-ubyte{suffix}", images.transpose(0, 2, 1).copy())
        write_idx(folder / f"emnist-{name}-{split}-labels-idx1-ubyte{suffix}", labels)
    return images


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("name", CLASSES)
def test_each_set_is_read_upright(name: str, suffix: str, tmp_path: Path) -> None:
    images = write_emnist(tmp_path / "in", name, suffix)
    dataset = load_dataset(convert(tmp_path / "in", tmp_path / "build"))
    assert dataset.description.name == f"emnist-{name}"
    assert len(dataset.classes) == CLASSES[name]
    pixels, labels = dataset.splits["train"].batch(np.arange(2 * CLASSES[name]))
    assert np.array_equal(labels, np.repeat(np.arange(CLASSES[name]), 2))
    assert np.array_equal(pixels[::2, ..., 0], images[: CLASSES[name]])


def test_the_classes_have_their_characters(tmp_path: Path) -> None:
    write_emnist(tmp_path / "letters", "letters")
    write_emnist(tmp_path / "balanced", "balanced")
    letters = load_dataset(convert(tmp_path / "letters", tmp_path / "build")).classes
    balanced = load_dataset(convert(tmp_path / "balanced", tmp_path / "build")).classes
    assert letters[:2] == ("A", "B")
    assert "".join(balanced) == "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"


def test_a_mapping_names_the_classes(tmp_path: Path) -> None:
    write_emnist(tmp_path / "in", "letters")
    rows = "".join(f"{label} {96 + label} {64 + label}\n" for label in range(1, 27))
    (tmp_path / "in" / "emnist-letters-mapping.txt").write_text(rows)
    assert load_dataset(convert(tmp_path / "in", tmp_path / "build")).classes[:2] == ("a", "b")
    (tmp_path / "in" / "emnist-letters-mapping.txt").write_text("1 x\n")
    with pytest.raises(DatasetError, match=r"emnist-letters-mapping\.txt is not a label and its character's code"):
        convert(tmp_path / "in", tmp_path / "build")


def test_classes_are_chosen_and_ordered(tmp_path: Path) -> None:
    images = write_emnist(tmp_path / "in", "letters")
    dataset = load_dataset(convert(tmp_path / "in", tmp_path / "build", ConvertOptions(classes=("C", "A"))))
    assert dataset.classes == ("C", "A")
    pixels, labels = dataset.splits["train"].batch(np.arange(4))
    assert labels.tolist() == [0, 0, 1, 1]
    assert np.array_equal(pixels[[0, 2], ..., 0], images[[2, 0]])


def test_several_sets_in_one_folder_are_named(tmp_path: Path) -> None:
    write_emnist(tmp_path / "in", "letters")
    write_emnist(tmp_path / "in", "digits")
    with pytest.raises(DatasetError, match="holds several datasets, emnist-letters, emnist-digits: put"):
        convert(tmp_path / "in", tmp_path / "build")


def test_a_label_of_another_set_and_a_missing_file_are_named(tmp_path: Path) -> None:
    write_emnist(tmp_path / "in", "letters", first=0)
    with pytest.raises(DatasetError, match="label 0 of image 0 is not one of 1 to 26"):
        convert(tmp_path / "in", tmp_path / "build")
    (tmp_path / "in" / "emnist-letters-test-labels-idx1-ubyte").unlink()
    with pytest.raises(DatasetError, match="lacks emnist-letters-test-labels-idx1-ubyte"):
        convert(tmp_path / "in", tmp_path / "build")


@pytest.mark.parametrize(
    "mapping",
    ["", "1", "1 x", "1 1114112", "1 55296", "1 65\n3 66", "-1 65\n0 66", "255 65\n256 66", f"{10**30} 65", "9" * 5000],
    ids=lambda text: text[:20],
)
def test_a_mapping_that_cannot_be_meant_is_refused(tmp_path: Path, mapping: str) -> None:
    write_emnist(tmp_path / "in", "letters")
    (tmp_path / "in" / "emnist-letters-mapping.txt").write_text(mapping)
    with pytest.raises(DatasetError, match=r"emnist-letters-mapping\.txt is not a label and its character's code"):
        convert(tmp_path / "in", tmp_path / "build")


def test_files_as_torchvision_keeps_them_lie_deeper(tmp_path: Path) -> None:
    write_mnist(tmp_path / "in" / "MNIST" / "raw")
    told: list[str] = []
    convert(tmp_path / "in", tmp_path / "build", on_warning=told.append)
    assert told == ["everything lies in MNIST/raw/ there"]
