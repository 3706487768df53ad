"""A dataset in parts: each a dataset of its own, with every image of the whole in one of them."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from device_runtime.formats.dataset import load_dataset, read_description, write_description
from device_runtime.formats.sample import picture
from pipeline.datasets.convert import convert
from pipeline.datasets.photographs.account import Account, read_account
from pipeline.datasets.photographs.preparation import read_preparation
from pipeline.errors import DatasetError
from pipeline.fleet.options.parting import Parting
from pipeline.fleet.parting import histogram, part
from tests.pipeline.datasets.image_files import write_folders

IID = Parting("iid")
TWO_CLASSES = Parting("classes", 2)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The carried sample of MNIST: 5,000 and 1,000 images of ten classes."""
    return convert(None, tmp_path_factory.mktemp("build"))


def images_of(folder: Path, split: str) -> Counter[tuple[int, bytes]]:
    """Label and pixels of each image."""
    whole = load_dataset(folder).splits[split]
    pixels, labels = whole.batch(np.arange(len(whole)))
    return Counter(zip(labels.tolist(), (image.tobytes() for image in pixels), strict=True))


def contents(folder: Path) -> dict[str, str]:
    """A digest of each file's bytes, without the stamp, which has times."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".inputs"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("how", [IID, Parting("dirichlet", 0.5), TWO_CLASSES], ids=str)
def test_the_parts_have_all_images_of_the_dataset_each_once(how: Parting, sample: Path, tmp_path: Path) -> None:
    parts = part(sample, 5, how, 1, tmp_path / "parts", least=8)
    assert parts == [tmp_path / "parts" / str(number) for number in range(5)]
    for split in ("train", "test"):
        assert sum((images_of(folder, split) for folder in parts), Counter()) == images_of(sample, split)


def test_a_part_has_classes_size_and_preparation_of_the_whole(sample: Path, tmp_path: Path) -> None:
    whole = load_dataset(sample).description
    for folder in part(sample, 5, TWO_CLASSES, 1, tmp_path / "parts"):
        description = load_dataset(folder).description
        assert (description.name, description.classes) == (whole.name, whole.classes)
        assert description.sample == picture(28, 28, 1)
        assert read_preparation(folder) == read_preparation(sample)
        assert read_account(folder) == Account()


def test_a_histogram_counts_the_images_of_each_class(sample: Path, tmp_path: Path) -> None:
    assert histogram(sample) == ((500,) * 10, (100,) * 10)
    train, test = zip(*map(histogram, part(sample, 5, TWO_CLASSES, 1, tmp_path / "parts")), strict=True)
    assert all(sum(count > 0 for count in of_part) == 2 for of_part in train)
    assert np.sum(train, axis=0).tolist() == [500] * 10
    assert np.sum(test, axis=0).tolist() == [100] * 10


def test_a_seed_gives_the_same_bytes_and_another_seed_others(sample: Path, tmp_path: Path) -> None:
    first, again, other = (
        [contents(folder) for folder in part(sample, 3, IID, seed, tmp_path / name)]
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    assert first == again
    assert all(one != two for one, two in zip(first, other, strict=True))


def test_parts_are_made_again_when_something_changed_and_only_then(sample: Path, tmp_path: Path) -> None:
    def times(parts: int = 2, how: Parting = IID, seed: int = 1, least: int = 1) -> list[int]:
        folders = part(sample, parts, how, seed, tmp_path / "parts", least)
        return [(folder / "dataset.json").stat().st_mtime_ns for folder in folders]

    first = times()
    assert times() == first
    (tmp_path / "parts" / "1" / "dataset.json").unlink()
    mended = times()
    assert mended[0] == first[0] and mended[1] != first[1]
    for changed in ({"seed": 2}, {"how": TWO_CLASSES, "parts": 5}, {"least": 2}):
        before = times()
        assert times(**changed)[0] != before[0]


def test_parts_of_an_earlier_parting_into_more_go(sample: Path, tmp_path: Path) -> None:
    part(sample, 4, IID, 1, tmp_path / "parts")
    part(sample, 2, IID, 1, tmp_path / "parts")
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == ["0", "1"]


def test_photographs_are_linked_and_those_to_validate_with_are_parted_too(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", count=40)
    dataset = convert(tmp_path / "in", tmp_path / "build")
    parts = part(dataset, 3, IID, 1, tmp_path / "build" / "parts")
    for split in load_dataset(dataset).splits:
        assert sum((images_of(folder, split) for folder in parts), Counter()) == images_of(dataset, split)
    files = [path for folder in parts for path in folder.rglob("*.bmp")]
    assert len(files) == 80
    assert all(path.stat().st_nlink == 2 for path in files)


def test_rows_of_arrays_are_each_in_one_part_with_the_noise_and_the_columns_of_all(tmp_path: Path) -> None:
    x, y = np.arange(300, dtype=np.float32).reshape(60, 5), np.arange(60) % 3
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    dataset = convert(tmp_path / "rows.npz", tmp_path / "build")
    np.save(dataset / "noise.npy", x[:2])
    (dataset / "columns.json").write_text("of all")
    parts = part(dataset, 3, Parting("classes", 1), 1, tmp_path / "build" / "parts")
    for split, rows in load_dataset(dataset).splits.items():
        own = [load_dataset(folder).splits[split] for folder in parts]
        found = np.concatenate([of_part.batch(np.arange(len(of_part)))[0] for of_part in own])
        assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, rows.batch(np.arange(len(rows)))[0].tolist()))
        assert sorted(tuple(set(of_part.labels.tolist())) for of_part in own) == [(0,), (1,), (2,)]
    assert [sum(count > 0 for count in histogram(folder)[0]) for folder in parts] == [1, 1, 1]
    assert all((folder / name).is_file() for folder in parts for name in ("noise.npy", "columns.json"))


def test_a_part_without_images_to_validate_with_has_no_such_split(tmp_path: Path) -> None:
    write_folders(tmp_path / "in")
    dataset = convert(tmp_path / "in", tmp_path / "build")
    whole = read_description(dataset)
    write_description(dataset, replace(whole, splits={**whole.splits, "validation": whole.splits["validation"][:2]}))
    parts = part(dataset, 4, IID, 1, tmp_path / "build" / "parts")
    assert sorted(len(load_dataset(folder).splits) for folder in parts) == [2, 2, 3, 3]


def test_where_it_cannot_be_parted_nothing_is_left(sample: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="classes:2"):
        part(sample, 2, TWO_CLASSES, 1, tmp_path / "parts")
    assert not (tmp_path / "parts").exists()


def test_all_of_mnist_is_in_eight_parts_in_a_few_seconds(tmp_path: Path, shared_data: Path) -> None:
    dataset = convert(shared_data / "mnist", tmp_path / "build")
    # Of its own: other tests run beside it.
    started = time.process_time()
    parts = part(dataset, 8, Parting("dirichlet", 0.5), 1, tmp_path / "build" / "parts", least=32)
    assert time.process_time() - started < 5
    assert sum(sum(histogram(folder)[0]) for folder in parts) == 60_000
