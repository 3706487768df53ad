"""A dataset on disk: batches are the images asked for, and a description that contradicts itself is refused."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device_runtime.formats import dataset as dataset_format
from device_runtime.formats.bmp import write_bmp
from device_runtime.formats.dataset import Split, Strip, load_dataset, pictures, read_description, write_description
from device_runtime.formats.errors import FormatError

Images = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def write(folder: Path, counts: list[int], channels: int, classes: int = 3, side: int = 5) -> Images:
    """Writes a dataset with one split, `train`, of a strip for each count; returns its images."""
    images = np.random.default_rng(0).integers(0, 256, (sum(counts), side, side, channels), np.uint8)
    strips, start = [], 0
    for index, count in enumerate(counts):
        write_bmp(folder / f"{index}.bmp", images[start : start + count])
        strips.append(Strip(f"{index}.bmp", index % classes, count))
        start += count
    names = tuple(str(label) for label in range(classes))
    write_description(folder, pictures("made", side, side, channels, names, {"train": tuple(strips)}))
    return images


@pytest.mark.parametrize("channels", [1, 3])
def test_a_batch_holds_the_images_asked_for_in_their_order(tmp_path: Path, channels: int) -> None:
    images = write(tmp_path, [4, 1, 6], channels)
    split = load_dataset(tmp_path).splits["train"]
    indices = np.array([10, 0, 4, 3, 5, 0, 9])
    pixels, labels = split.batch(indices)
    assert len(split) == 11
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert np.array_equal(pixels, images[indices])
    assert labels.dtype == np.int64
    assert labels.tolist() == [2, 0, 1, 0, 2, 0, 2]
    assert split.labels.tolist() == [0] * 4 + [1] + [2] * 6


@pytest.mark.parametrize("index", [-1, -11, 11, 1000])
def test_an_index_outside_of_the_split_is_an_error(tmp_path: Path, index: int) -> None:
    write(tmp_path, [4, 7], 1)
    with pytest.raises(IndexError):
        load_dataset(tmp_path).splits["train"].batch(np.array([0, index]))


def test_a_thousand_files_do_not_stay_open(tmp_path: Path) -> None:
    images = write(tmp_path, [1] * 1000, 3)
    split = load_dataset(tmp_path).splits["train"]
    before = len(list(Path("/proc/self/fd").iterdir()))
    for start in range(0, 1000, 50):
        assert np.array_equal(split.batch(np.arange(start, start + 50))[0], images[start : start + 50])
    assert len(list(Path("/proc/self/fd").iterdir())) - before <= 300


def test_reading_every_image_leaves_the_memory_of_the_process_small(tmp_path: Path) -> None:
    write(tmp_path, [20] * 10, 3, side=512)
    split = load_dataset(tmp_path).splits["train"]
    split.batch(np.arange(2))
    before = resident_bytes()
    for index in range(len(split)):
        split.batch(np.array([index]))
    assert resident_bytes() - before < 20 * 2**20


def resident_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) * 1024


def test_a_batch_reads_nothing_but_its_own_images(tmp_path: Path) -> None:
    write(tmp_path, [1000] * 10, 1, classes=10, side=28)
    split = load_dataset(tmp_path).splits["train"]
    indices = np.random.default_rng(0).integers(0, 10_000, 32)
    split.batch(indices)
    tracemalloc.start()
    split.batch(indices)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # All images are 7.8 MB.
    assert peak < 10 * 32 * 28 * 28


def test_a_description_reads_back_as_it_was_written(tmp_path: Path) -> None:
    strips = (Strip("train/a/x.bmp", 0, 1), Strip("train/b/y.bmp", 1, 7))
    expected = pictures("näme", 3, 4, 3, ("a", "b"), {"train": strips, "test": ()})
    write_description(tmp_path, expected)
    assert read_description(tmp_path) == expected


def change(folder: Path, **changes: Any) -> None:
    path = folder / dataset_format.FILE_NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 1},
        {"sample": {"dtype": "uint8", "shape": [0, 2, 1]}},
        {"sample": {"dtype": "uint8", "shape": [2, 2, 2]}},
        {"sample": {"dtype": "uint8", "shape": ["wide", 2, 1]}},
        {"sample": {"dtype": "float32", "shape": [2, 2, 1]}},
        {"sample": {"dtype": "object", "shape": [2, 2, 1]}},
        {"sample": {"dtype": "uint8", "shape": [2**40, 2**40, 1]}},
        {"target": {"kind": "class", "count": 2, "shape": [], "ignore": None}},
        {"target": {"kind": "values", "count": 3, "shape": [3], "ignore": None}},
        {"target": {"kind": "guess", "count": 3, "shape": [], "ignore": None}},
        {"arrays": {"train": 4}},
        {"splits": {}, "arrays": {"../train": 4}},
        {"splits": {}, "arrays": {"train": 0}},
        {"classes": None},
        {"splits": []},
        {"splits": {"train": [{"file": "0.bmp", "label": 0}]}},
        {"splits": {"train": [{"file": "0.bmp", "label": 3, "count": 1}]}},
        {"splits": {"train": [{"file": "0.bmp", "label": -1, "count": 1}]}},
        {"splits": {"train": [{"file": "0.bmp", "label": 0, "count": 0}]}},
        {"splits": {"train": [{"file": "../0.bmp", "label": 0, "count": 1}]}},
        {"sample": {"dtype": "uint8", "shape": [2.0, 2, 1]}},
        {"classes": "abc"},
        {"classes": ["a", "\ud800", "c"]},
        {"splits": {"train": [{"file": "0.bmp", "label": True, "count": 1}]}},
        {"splits": {"train": [{"file": "0.bmp", "label": 0, "count": 2**60}]}},
        {"splits": {"train": [{"file": "a\n0.bmp", "label": 0, "count": 1}]}},
        {"splits": {"train": [{"file": "/0.bmp", "label": 0, "count": 1}]}},
    ],
    ids=str,
)
def test_a_description_that_cannot_be_meant_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    write(tmp_path, [2, 2], 1)
    change(tmp_path, **changes)
    with pytest.raises(FormatError, match=r"dataset\.json"):
        load_dataset(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3"])
def test_a_damaged_description_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / dataset_format.FILE_NAME).write_text(text)
    with pytest.raises(FormatError, match=r"dataset\.json"):
        load_dataset(tmp_path)


def test_a_folder_without_description_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"No such file.*-d takes"):
        load_dataset(tmp_path)


def first_batch(folder: Path) -> None:
    split: Split = load_dataset(folder).splits["train"]
    split.batch(np.array([0]))


def test_a_file_of_another_size_than_described_is_named(tmp_path: Path) -> None:
    write(tmp_path, [2, 2], 1)
    change(tmp_path, sample={"dtype": "uint8", "shape": [4, 2, 1]})
    with pytest.raises(FormatError, match=r"0\.bmp holds"):
        first_batch(tmp_path)


def test_no_memory_is_taken_for_images_that_only_the_description_has(tmp_path: Path) -> None:
    write(tmp_path, [2, 2], 1)
    change(tmp_path, sample={"dtype": "uint8", "shape": [2**20, 2**20, 1]})
    with pytest.raises(FormatError, match=r"0\.bmp holds"):
        first_batch(tmp_path)


def test_a_missing_file_is_named_when_it_is_needed(tmp_path: Path) -> None:
    write(tmp_path, [2, 2], 1)
    (tmp_path / "0.bmp").unlink()
    with pytest.raises(FormatError, match=r"0\.bmp: No such file"):
        first_batch(tmp_path)
