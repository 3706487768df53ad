"""The convert stage on real MNIST and on the carried sample: right, quick, and only once."""

from __future__ import annotations

import gzip
import os
import runpy
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from device_runtime.formats.dataset import load_dataset
from pipeline.datasets.convert import SAMPLE, ConvertOptions, convert
from pipeline.errors import UsageError
from tests.invoking import ROOT
from tests.pipeline.datasets.mnist import FILES, write_mnist


def images_of(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=16).reshape(-1, 784)


def test_all_of_mnist_is_converted_in_three_seconds(tmp_path: Path, shared_data: Path) -> None:
    # Of its own: other tests run beside it.
    started = time.process_time()
    folder = convert(shared_data / "mnist", tmp_path / "build")
    assert time.process_time() - started < 3
    dataset = load_dataset(folder)
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 60_000, "test": 10_000}
    # Counts of the digits in the published files.
    assert np.bincount(dataset.splits["train"].labels).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert np.bincount(dataset.splits["test"].labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
    pixels, _ = dataset.splits["train"].batch(np.arange(60_000))
    # The first image of class 0 is the second of the file, the first of class 5 its first.
    original = images_of(shared_data / "mnist" / "train" / f"{FILES[0]}.gz")
    assert np.array_equal(pixels[0].ravel(), original[1])
    assert np.array_equal(pixels[sum([5923, 6742, 5958, 6131, 5842])].ravel(), original[0])
    assert pixels.sum(dtype=np.int64) == original.sum(dtype=np.int64)


def test_without_a_folder_the_sample_is_converted(tmp_path: Path) -> None:
    dataset = load_dataset(convert(None, tmp_path / "build"))
    assert dataset.description.name == "mnist"
    assert np.bincount(dataset.splits["train"].labels).tolist() == [500] * 10
    assert np.bincount(dataset.splits["test"].labels).tolist() == [100] * 10


def test_the_sample_is_real_mnist_and_small(shared_data: Path) -> None:
    assert sum(path.stat().st_size for path in SAMPLE.iterdir()) <= 1_600_000
    for name, folder in ((FILES[0], "train"), (FILES[2], "test")):
        original = {row.tobytes() for row in images_of(shared_data / "mnist" / folder / f"{name}.gz")}
        sample = [row.tobytes() for row in images_of(SAMPLE / f"{name}.gz")]
        assert original.issuperset(sample)
        assert len(set(sample)) == len(sample)


def test_the_script_makes_the_sample_again(tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "packaging" / "make_sample.py"
    script.parent.mkdir()
    script.write_bytes((ROOT / "packaging" / "make_sample.py").read_bytes())
    made = tmp_path / "pipeline" / "datasets" / "sample"
    made.parent.mkdir(parents=True)
    monkeypatch.setattr(sys, "argv", [str(script), str(shared_data / "mnist")])
    runpy.run_path(str(script), run_name="__main__")
    for name in FILES:
        # Another zlib compresses to other bytes of the same content.
        parts = [gzip.decompress((folder / f"{name}.gz").read_bytes()) for folder in (made, SAMPLE)]
        assert parts[0] == parts[1]


def test_what_did_not_change_is_not_converted_again(tmp_path: Path) -> None:
    write_mnist(tmp_path / "in")
    first = convert(tmp_path / "in", tmp_path / "build")
    stamp = (first / "dataset.json").stat().st_mtime_ns
    assert convert(tmp_path / "in", tmp_path / "build") == first
    assert (first / "dataset.json").stat().st_mtime_ns == stamp
    os.utime(tmp_path / "in" / FILES[1], ns=(1, 1))
    assert convert(tmp_path / "in", tmp_path / "build") != first


def test_a_dataset_without_description_is_made_again(tmp_path: Path) -> None:
    write_mnist(tmp_path / "in")
    folder = convert(tmp_path / "in", tmp_path / "build")
    (folder / "dataset.json").unlink()
    assert convert(tmp_path / "in", tmp_path / "build") == folder
    assert len(load_dataset(folder).splits["train"]) == 40


def test_the_dataset_takes_the_name_it_is_given(tmp_path: Path) -> None:
    write_mnist(tmp_path / "in")
    folder = convert(tmp_path / "in", tmp_path / "build", ConvertOptions(name="digits"))
    assert load_dataset(folder).description.name == "digits"


def test_classes_of_mnist_are_chosen_and_ordered(tmp_path: Path) -> None:
    write_mnist(tmp_path / "in")
    folder = convert(tmp_path / "in", tmp_path / "build", ConvertOptions(classes=("7", "2")))
    description = load_dataset(folder).description
    assert description.classes == ("7", "2")
    assert [strip.file for strip in description.splits["train"]] == ["train/7/images.bmp", "train/2/images.bmp"]


def test_a_class_that_mnist_has_not_is_named(tmp_path: Path) -> None:
    write_mnist(tmp_path / "in")
    with pytest.raises(UsageError, match="has no class 'ten'; it has 0, 1"):
        convert(tmp_path / "in", tmp_path / "build", ConvertOptions(classes=("1", "ten")))
