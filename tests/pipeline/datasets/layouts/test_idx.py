"""MNIST's files become BMP strips, and damaged ones one clear error."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from device_runtime.formats.dataset import load_dataset
from pipeline.datasets.convert import convert
from pipeline.errors import DatasetError

IMAGES = np.arange(6 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(6, 28, 28)
LABELS = np.array([3, 1, 3, 0, 9, 1], np.uint8)


def images_file(images: np.ndarray = IMAGES, magic: int = 2051) -> bytes:
    return struct.pack(">4I", magic, *images.shape) + images.tobytes()


def labels_file(labels: np.ndarray = LABELS, magic: int = 2049) -> bytes:
    return struct.pack(">2I", magic, len(labels)) + labels.tobytes()


def write(folder: Path, **replaced: bytes) -> Path:
    """A small dataset with MNIST's names; keyword arguments replace the content of files."""
    files = {"train_images": images_file(), "train_labels": labels_file()}
    files |= {"test_images": images_file(), "test_labels": labels_file(), **replaced}
    names = {
        "train_images": "train-images-idx3-ubyte",
        "train_labels": "train-labels-idx1-ubyte",
        "test_images": "t10k-images-idx3-ubyte",
        "test_labels": "t10k-labels-idx1-ubyte",
    }
    folder.mkdir(exist_ok=True)
    for key, content in files.items():
        suffix = ".gz" if content[:2] == b"\x1f\x8b" else ""
        (folder / (names[key] + suffix)).write_bytes(content)
    return folder


def test_every_image_arrives_with_its_label(tmp_path: Path) -> None:
    converted = load_dataset(convert(write(tmp_path / "in"), tmp_path / "build"))
    split = converted.splits["train"]
    pixels, labels = split.batch(np.arange(len(split)))
    order = np.argsort(LABELS, kind="stable")
    np.testing.assert_array_equal(labels, LABELS[order])
    np.testing.assert_array_equal(pixels[..., 0], IMAGES[order])


LAYOUTS: dict[str, Callable[[str], str]] = {
    "flat": lambda name: name,
    "in folders": lambda name: ("train/" if name.startswith("train") else "test/") + name,
    "with dots": lambda name: name.replace("-idx", ".idx"),
}


@pytest.mark.parametrize("compressed", [False, True], ids=["raw", "gz"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_of_the_files_is_found(layout: str, compressed: bool, tmp_path: Path) -> None:
    for file in write(tmp_path / "flat").iterdir():
        target = tmp_path / "in" / (LAYOUTS[layout](file.name) + (".gz" if compressed else ""))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(gzip.compress(file.read_bytes()) if compressed else file.read_bytes())
    assert len(load_dataset(convert(tmp_path / "in", tmp_path / "build")).splits["test"]) == 6


WRONG = {
    "truncated": ({"train_images": images_file()[:-5]}, "train-images-idx3-ubyte has 4715 bytes, its header says 4720"),
    "shorter than a header": ({"train_images": b"\0\0"}, "train-images-idx3-ubyte is cut short: 2 bytes"),
    "wrong magic": ({"test_labels": labels_file(magic=7)}, "t10k-labels-idx1-ubyte starts with magic 7, not 2049"),
    "counts differ": ({"train_labels": labels_file(LABELS[:4])}, "has 6 images, train-labels-idx1-ubyte 4 labels"),
    "label out of range": ({"train_labels": labels_file(LABELS + 5)}, "label 14 of image 4 is not one of 0 to 9"),
    "no images": (
        {"train_images": images_file(IMAGES[:0]), "train_labels": labels_file(LABELS[:0])},
        "train-images-idx3-ubyte has no images",
    ),
    "sizes differ": ({"test_images": images_file(IMAGES[:, :20])}, "train and test differ in size"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_damaged_file_is_named_and_nothing_is_left(name: str, tmp_path: Path) -> None:
    replaced, message = WRONG[name]
    with pytest.raises(DatasetError) as error:
        convert(write(tmp_path / "in", **replaced), tmp_path / "build")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "build").glob("*"))


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    source = write(tmp_path / "in", train_images=b"", test_labels=labels_file(magic=1))
    with pytest.raises(DatasetError, match=r"train-images.*; t10k-labels"):
        convert(source, tmp_path / "build")


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no dataset"):
        convert(tmp_path, tmp_path / "build")
