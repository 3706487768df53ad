"""CIFAR's files, in both forms, become pictures; damaged ones one line; a pickle runs nothing."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from device_runtime.formats.dataset import load_dataset
from pipeline.datasets.convert import ConvertOptions, convert
from pipeline.datasets.photographs.preparation import RGB, read_preparation
from pipeline.errors import DatasetError, UsageError
from tests.pipeline.datasets.cifar import (
    NAMES_10,
    NAMES_100,
    as_pictures,
    batches,
    images,
    of_python_2,
    write_binary_10,
    write_binary_100,
    write_python_10,
    write_python_100,
)

FORMS_10: dict[str, Callable[[Path], Path]] = {
    "cifar-10-batches-bin": write_binary_10,
    "cifar-10-batches-py": write_python_10,
}
FORMS_100: dict[str, Callable[[Path], Path]] = {
    "cifar-100-binary": write_binary_100,
    "cifar-100-python": write_python_100,
}


@pytest.mark.parametrize("name", FORMS_10)
def test_every_picture_of_cifar_10_arrives_with_its_class(name: str, tmp_path: Path) -> None:
    FORMS_10[name](tmp_path / "in" / name)
    folder = convert(tmp_path / "in", tmp_path / "build")
    dataset = load_dataset(folder)
    assert dataset.classes == NAMES_10
    assert dataset.description.name == "cifar-10"
    trained = [batches()[f"data_batch_{number}"] for number in range(1, 6)]
    for split, pairs in (("train", trained), ("test", [batches()["test_batch"]])):
        pixels = as_pictures(np.concatenate([pair[0] for pair in pairs]))
        labels = np.concatenate([pair[1] for pair in pairs])
        order = np.argsort(labels, kind="stable")
        read, found = dataset.splits[split].batch(np.arange(len(labels)))
        np.testing.assert_array_equal(found, labels[order])
        np.testing.assert_array_equal(read, pixels[order])
    assert (read_preparation(folder).mode, read_preparation(folder).shape) == (RGB, (32, 32, 3))


@pytest.mark.parametrize("name", FORMS_100)
def test_classes_of_cifar_100_are_the_fine_ones(name: str, tmp_path: Path) -> None:
    dataset = load_dataset(convert(FORMS_100[name](tmp_path / name), tmp_path / "build"))
    assert dataset.classes == NAMES_100
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 200, "test": 100}
    read, labels = dataset.splits["test"].batch(np.array([7, 42]))
    assert labels.tolist() == [7, 42]
    np.testing.assert_array_equal(read, as_pictures(images(100, 2)[0])[[7, 42]])


def test_classes_are_chosen(tmp_path: Path) -> None:
    source = write_binary_10(tmp_path / "in")
    dataset = load_dataset(convert(source, tmp_path / "build", ConvertOptions(classes=("cat", "bird"))))
    assert dataset.classes == ("cat", "bird")
    read, labels = dataset.splits["test"].batch(np.arange(2))
    assert labels.tolist() == [0, 1]
    np.testing.assert_array_equal(read, as_pictures(images(10, 6)[0])[[3, 2]])
    with pytest.raises(UsageError, match="has no class 'cow'; it has airplane, automobile"):
        convert(source, tmp_path / "build", ConvertOptions(classes=("cat", "cow")))


def refusal(source: Path, build: Path) -> str:
    """The one line by which a dataset is refused, and of which nothing is left."""
    with pytest.raises(DatasetError) as refused:
        convert(source, build)
    assert not [path for path in build.glob("*") if path.name.startswith("dataset")]
    line = str(refused.value)
    assert line.isprintable()
    return line.replace(str(source), "IN")


DAMAGED: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "cut": (
        "data_batch_3.bin",
        lambda content: content[:-1],
        "data_batch_3.bin has 30,729 bytes, which are not images",
    ),
    "empty": ("test_batch.bin", lambda content: b"", "IN: test_batch.bin has no images"),
    "label": ("data_batch_1.bin", lambda content: b"\x0a" + content[1:], "label 10 of image 0 is not one of 0 to 9"),
    "names": ("batches.meta.txt", lambda content: content[:-9], "does not name 10 classes, each once"),
    "no names": ("batches.meta.txt", lambda content: b"", "does not name 10 classes"),
    "names of other bytes": ("batches.meta.txt", lambda content: b"\xff\n" * 10, "does not name 10 classes"),
    "long names": ("batches.meta.txt", lambda content: b"x" * 70000, "has more than 65,536 bytes"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_binary_files_are_one_line(kind: str, tmp_path: Path) -> None:
    name, damage, message = DAMAGED[kind]
    path = write_binary_10(tmp_path / "in") / name
    path.write_bytes(damage(path.read_bytes()))
    assert message in refusal(tmp_path / "in", tmp_path / "build")


def test_all_damage_is_in_one_line(tmp_path: Path) -> None:
    source = write_binary_10(tmp_path / "in")
    (source / "data_batch_1.bin").write_bytes(b"")
    (source / "test_batch.bin").write_bytes(b"x")
    assert refusal(source, tmp_path / "build") == (
        "IN: data_batch_1.bin has no images; test_batch.bin has 1 bytes, which are not images of 3,073 bytes each. "
        "Download the files again"
    )


def test_missing_files_are_named(tmp_path: Path) -> None:
    source = write_python_10(tmp_path / "in")
    (source / "data_batch_2").unlink()
    (source / "batches.meta").unlink()
    assert refusal(source, tmp_path / "build") == (
        "IN lacks data_batch_2, batches.meta: unpack all files of CIFAR-10 there"
    )


def test_both_forms_in_one_folder_are_refused(tmp_path: Path) -> None:
    source = write_python_10(tmp_path / "in")
    for path in write_binary_10(tmp_path / "other").iterdir():
        path.rename(source / path.name)
    assert "holds several datasets, of batches.meta.txt and batches.meta" in refusal(source, tmp_path / "build")


def test_files_that_are_called_train_and_test_are_anybodys(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("train", "test", "train.bin"):
        (tmp_path / "in" / name).write_bytes(b"x")
    assert "holds no dataset" in refusal(tmp_path / "in", tmp_path / "build")


PIXELS, LABELS = images(10, 1)

BATCHES: dict[str, tuple[object, str]] = {
    "no dictionary": ([1], "a pickle of something else than a dictionary"),
    "no data": ({"labels": LABELS.tolist()}, "holds something else in place of an array"),
    "a list of data": ({"data": [1], "labels": LABELS.tolist()}, "holds something else in place of an array"),
    "another type": ({"data": PIXELS.astype(np.float32), "labels": LABELS.tolist()}, "has data of float32, (10, 3072)"),
    "another shape": ({"data": PIXELS[:, :99], "labels": LABELS.tolist()}, "has data of uint8, (10, 99)"),
    "fewer labels": ({"data": PIXELS, "labels": [1, 2]}, "has 10 images and 2 labels"),
    "no labels": ({"data": PIXELS}, "has no list labels of whole numbers"),
    "labels of text": ({"data": PIXELS, "labels": ["a"] * 10}, "has no list labels of whole numbers"),
    "a label beyond": ({"data": PIXELS, "labels": [10] * 10}, "label 10 of image 0 is not one of 0 to 9"),
    "a label below": ({"data": PIXELS, "labels": [-1] * 10}, "has no list labels of whole numbers"),
}


@pytest.mark.parametrize("kind", BATCHES)
def test_batches_of_something_else_are_one_line(kind: str, tmp_path: Path) -> None:
    value, message = BATCHES[kind]
    source = write_python_10(tmp_path / "in")
    (source / "data_batch_4").write_bytes(of_python_2(value))
    assert message in refusal(source, tmp_path / "build")


class Hostile:
    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self._call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_hostile_pickle_runs_nothing(protocol: int, tmp_path: Path) -> None:
    source, harmed = write_python_10(tmp_path / "in"), tmp_path / "harmed"
    hostile = pickle.dumps({"data": PIXELS, "labels": Hostile(os.mkdir, str(harmed))}, protocol)
    (source / "data_batch_5").write_bytes(hostile)
    line = refusal(source, tmp_path / "build")
    assert "and not arrays and lists alone: it may run anything, and is not read; download it again" in line
    assert not harmed.exists()
    # It would have: the pickle is what it is meant to be.
    pickle.loads(hostile)
    assert harmed.exists()
