"""Arrays as people save them become datasets, or one line says what is wrong with them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device_runtime.formats.dataset import Dataset, load_dataset
from device_runtime.formats.sample import Sample, Target, picture
from pipeline.datasets.convert import ConvertOptions, convert
from pipeline.datasets.photographs.account import read_account
from pipeline.errors import DatasetError, UsageError
from pipeline.stages import STAMP

RANDOM = np.random.default_rng(1)
X = RANDOM.normal(size=(40, 6, 2)).astype(np.float32)
CLASSES = np.arange(40) % 4


def of(folder: Path, told: list[str] | None = None, **arrays: Any) -> Dataset:
    """The dataset of an .npz file."""
    np.savez(folder / "data.npz", **arrays)
    return load_dataset(
        convert(folder / "data.npz", folder / "build", on_warning=([] if told is None else told).append)
    )


def everything(dataset: Dataset) -> tuple[Any, Any]:
    parts = [split.batch(np.arange(len(split))) for split in dataset.splits.values()]
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def test_samples_and_classes_are_split_as_photographs_are(tmp_path: Path) -> None:
    dataset = of(tmp_path, x=X, y=CLASSES, classes=np.array(["a", "b", "c", "d"]))
    assert dataset.description.sample == Sample("float32", (6, 2))
    assert dataset.description.target == Target("class", 4)
    assert dataset.classes == ("a", "b", "c", "d")
    assert dataset.description.counts == {"train": 24, "test": 8, "validation": 8}
    for split in dataset.splits.values():
        assert set(split.labels.tolist()) == {0, 1, 2, 3}
    x, y = everything(dataset)
    order = np.argsort(x[:, 0, 0])
    np.testing.assert_array_equal(x[order], X[np.argsort(X[:, 0, 0])])
    np.testing.assert_array_equal(y[order], CLASSES[np.argsort(X[:, 0, 0])])


def test_the_same_file_is_split_in_the_same_way(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    one, other = (of(folder, x=X, y=CLASSES) for folder in folders)
    np.testing.assert_array_equal(everything(one)[0], everything(other)[0])


def test_a_group_is_never_on_both_sides(tmp_path: Path) -> None:
    person = RANDOM.integers(0, 12, 40)
    x = X.copy()
    x[:, 0, 0] = person
    dataset = of(tmp_path, x=x, y=CLASSES, group=person)
    sides = [set(split.batch(np.arange(len(split)))[0][:, 0, 0].tolist()) for split in dataset.splits.values()]
    assert sum(map(len, sides)) == len(set.union(*sides)) == len(set(person.tolist()))


def test_splits_that_have_names_stay(tmp_path: Path) -> None:
    dataset = of(
        tmp_path, x_train=X[:20], y_train=CLASSES[:20], x_test=X[20:], y_test=CLASSES[20:], x_val=X, y_val=CLASSES
    )
    assert dataset.description.counts == {"train": 20, "test": 20, "validation": 40}
    np.testing.assert_array_equal(dataset.splits["test"].batch(np.arange(20))[0], X[20:])


def test_a_folder_of_npy(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "x.npy", X)
    np.save(tmp_path / "data" / "y.npy", CLASSES)
    assert load_dataset(convert(tmp_path / "data", tmp_path / "build")).description.counts["train"] == 24


TARGETS: Mapping[str, tuple[Any, Target]] = {
    "numbers": (RANDOM.normal(size=40), Target("values", 1, (1,))),
    "rows of numbers": (RANDOM.normal(size=(40, 3)).astype(np.float16), Target("values", 3, (3,))),
    "labels": (RANDOM.integers(0, 2, (40, 5)), Target("labels", 5, (5,))),
    "yes and no": (RANDOM.integers(0, 2, (40, 5)) > 0, Target("labels", 5, (5,))),
    "positions": (np.tile(np.array([0, 2, -1, 1]), (40, 1)), Target("class", 3, (4,), -1)),
    "positions, all of a class": (np.tile(np.array([0, 2, 1]), (40, 1)), Target("class", 3, (3,))),
    "texts": (np.array(["cat", "dog"] * 20), Target("class", 2)),
}


@pytest.mark.parametrize("name", TARGETS)
def test_what_targets_mean(name: str, tmp_path: Path) -> None:
    y, target = TARGETS[name]
    dataset = of(tmp_path, x=X, y=y)
    assert dataset.description.target == target
    labels = everything(dataset)[1]
    assert (labels.shape, labels.dtype) == ((40, *target.shape), np.dtype(target.dtype))


def test_kind_and_ignored_number_can_be_said(tmp_path: Path) -> None:
    y = np.tile(np.array([0, 1, 255]), (40, 1))
    assert of(tmp_path, x=X, y=y, ignore=255).description.target == Target("class", 2, (3,), 255)
    binary = RANDOM.integers(0, 2, (40, 3))
    assert of(tmp_path, x=X, y=binary, kind="class").description.target == Target("class", 2, (3,))


@pytest.mark.parametrize(
    ("given", "becomes"),
    [("float64", "float32"), ("int8", "int16"), ("uint16", "int32"), ("uint32", "int64"), (">f4", "float32")],
)
def test_a_type_that_the_runner_does_not_know_becomes_one_that_it_does(
    given: str, becomes: str, tmp_path: Path
) -> None:
    x = (X * 10).astype(given) if np.dtype(given).kind == "f" else np.abs(X * 10).astype(given)
    dataset = of(tmp_path, x=x, y=CLASSES)
    assert dataset.description.sample.dtype == becomes
    np.testing.assert_allclose(np.sort(everything(dataset)[0], axis=None), np.sort(x, axis=None), rtol=1e-6)


@pytest.mark.parametrize("shape", [(8, 6), (8, 6, 1), (8, 6, 3)])
def test_pictures_of_a_class_each_are_bmp_files(shape: tuple[int, ...], tmp_path: Path) -> None:
    x = RANDOM.integers(0, 256, (40, *shape), np.uint8)
    folder = convert(_saved(tmp_path, x=x, y=CLASSES), tmp_path / "build")
    dataset = load_dataset(folder)
    assert dataset.description.sample == picture(8, 6, shape[2] if len(shape) > 2 else 1)
    assert list((folder / "train" / "2").glob("*.bmp"))
    found, labels = everything(dataset)
    flat = {(row.tobytes(), int(label)) for row, label in zip(found, labels, strict=True)}
    assert flat == {(row.tobytes(), int(label)) for row, label in zip(x, CLASSES, strict=True)}


def _saved(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def _with(name: str, value: Any) -> dict[str, Any]:
    return {"x": X, "y": CLASSES, name: value}


def _nan() -> Any:
    x = X.copy()
    x[17, 2, 1] = np.nan
    return x


ODD: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "no targets": ({"x": X}, "x has no targets, which are called y"),
    "other names": ({"images": X, "labels": CLASSES}, "images, labels: call the samples x"),
    "nothing": ({}, "no array"),
    "NaN": (_with("x", _nan()), r"1 of 40 samples hold NaN .* number 17"),
    "infinite targets": (_with("y", np.full(40, np.inf)), "y of train: 40 of 40"),
    "objects": (_with("x", np.array([{}] * 40, object)), "holds Python objects"),
    "ragged": (_with("x", np.array([[1], [1, 2]] * 20, dtype=object)), "holds Python objects"),
    "fewer targets": (_with("y", CLASSES[:39]), "40 samples in x, 39 in y"),
    "fewer groups": (_with("group", np.zeros(3)), "40 samples in x, 3 in group"),
    "no samples": ({"x": X[:0], "y": CLASSES[:0]}, "there is nothing in it"),
    "one class below 0": (_with("y", CLASSES - 1), "numbers from 0, there is -1"),
    "texts as samples": (_with("x", np.array(["a"] * 40)), "is of type <U1"),
    "complex": (_with("x", X.astype(complex)), "not of numbers"),
    "wrong kind": (_with("kind", "classes"), "kind is 'classes'"),
    "labels of 2": ({**_with("y", np.full((40, 2), 2)), "kind": "labels"}, "0 or 1"),
    "names of others": (_with("classes", np.array(["a"])), "names of 1 classes, and a class 3"),
    "too large for float32": (_with("x", np.full((40, 2), 1e300)), "40 of 40 samples"),
    "targets too large for float32": (_with("y", np.full(40, 1e300)), "y of train: 40 of 40"),
    "one group": (_with("group", np.zeros(40)), "leave none for"),
    "splits that differ": ({"x_train": X, "y_train": CLASSES, "x_test": X[:, 1:], "y_test": CLASSES}, "splits differ"),
    "test alone": ({"x_test": X, "y_test": CLASSES}, "none to train on"),
    "several numbers below 0": (_with("y", np.tile([0, -1, -2], (40, 1))), "there is -2: .* `ignore`"),
    "a number below 0 beside the ignored one": (
        {**_with("y", np.tile([0, -1, -100], (40, 1))), "ignore": -100},
        "there is -1: number them from 0$",
    ),
    "every position ignored": (_with("y", np.full((40, 3), -1)), "every target is -1, which is ignored"),
    "a single class": (_with("y", np.zeros(40, int)), "every target is of the class 0"),
    "two classes of one name": (_with("classes", np.array(["a", "b", "a", "c"])), "two classes have one name"),
    "texts without a name": (
        {"x": X, "y": np.array(["a", "b"] * 20), "classes": np.array(["a", "c"])},
        "targets of b, and classes of a, c",
    ),
    "a group alone": (_with("group", np.int64(1)), "40 samples in x, 1 in group"),
    "names that differ in their letters' size": ({"x": X, "X": X, "y": CLASSES}, "several arrays are called x"),
    "far numbers": (_with("y", CLASSES * 10000), "number them from 0 on"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_arrays_are_told_in_one_line(name: str, tmp_path: Path) -> None:
    arrays, said = ODD[name]
    np.savez(tmp_path / "data.npz", **arrays)
    _refused(tmp_path / "data.npz", tmp_path, said)


def _refused(file: Path, folder: Path, said: str) -> None:
    with pytest.raises(DatasetError, match=said) as told:
        convert(file, folder / "build")
    assert len(str(told.value).splitlines()) == 1
    assert not list((folder / "build").glob(f"*/{STAMP}"))


def _entry(header: bytes, size: int) -> bytes:
    magic = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
    return magic + header + bytes(size)


DAMAGED: Mapping[str, bytes] = {
    "empty": b"",
    "no zip": b"PK\x03\x04 and so on",
    "huge header": _entry(b"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999, 9), }\n", 40),
    "endless header": b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{" + b" " * 100,
    "no header": _entry(b"rm -rf /\n", 4),
    "fields": _entry(b"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }\n", 4),
    "negative": _entry(b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }\n", 4),
    "deep": _entry(b"{'descr': " + b"(" * 5000 + b"}\n", 4),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_are_told_in_one_line(name: str, tmp_path: Path) -> None:
    file = tmp_path / "data.npz"
    if name in ("empty", "no zip"):
        file.write_bytes(DAMAGED[name])
    else:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("x.npy", DAMAGED[name])
    _refused(file, tmp_path, "save it again")


def test_a_cut_file(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.savez_compressed(content, x=X, y=CLASSES)
    (tmp_path / "data.npz").write_bytes(content.getvalue()[:-400])
    _refused(tmp_path / "data.npz", tmp_path, "save it again")


def test_a_column_of_classes_is_a_class_each(tmp_path: Path) -> None:
    dataset = of(tmp_path, x_train=X, y_train=CLASSES[:, None], x_test=X, y_test=CLASSES)
    assert dataset.description.target == Target("class", 4)


def test_names_of_classes_set_the_order_of_texts(tmp_path: Path) -> None:
    dataset = of(tmp_path, x=X, y=np.array(["b", "a"] * 20), classes=np.array(["b", "a", "c"]))
    assert dataset.classes == ("b", "a", "c")
    assert sorted(everything(dataset)[1].tolist()) == [0] * 20 + [1] * 20


DOUBTFUL: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "one-hot": ({"y": np.eye(4, dtype=int)[CLASSES]}, "4 labels: for a class each, give y.argmax(1)"),
    "one-hot with a point": ({"y": np.eye(4)[CLASSES]}, "4 values: for a class each, give y.argmax(1)"),
    "classes with a point": ({"y": CLASSES.astype(float)}, "the targets are whole numbers written with a point"),
    "classes from 1": ({"y": CLASSES + 1}, "1 of 5 classes have no sample to train on: 0"),
}


@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_may_be_meant_otherwise_is_told(name: str, tmp_path: Path) -> None:
    arrays, said = DOUBTFUL[name]
    told: list[str] = []
    of(tmp_path, told, x=X, **arrays)
    assert [said in line for line in told] == [True]


@pytest.mark.parametrize("kind", ["class", "labels", "values"])
def test_nothing_is_doubted_where_it_is_said(kind: str, tmp_path: Path) -> None:
    told: list[str] = []
    of(tmp_path, told, x=X, y=np.eye(4, dtype=int)[CLASSES], kind=kind)
    assert told == []


def test_only_what_is_used_is_looked_into(tmp_path: Path) -> None:
    told: list[str] = []
    others = {"notes": np.array([{}], object), "when": np.array(["2026-01-01"], "datetime64[D]")}
    assert len(everything(of(tmp_path, told, X=X, Y=CLASSES, GROUP=np.arange(40) // 2, **others))[0]) == 40
    assert [line.split()[0] for line in told] == ["notes", "when"]


def test_a_folder_may_hold_more(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "old.npy").mkdir(parents=True)
    for name, array in (("x.NPY", X), ("Y.npy", CLASSES)):
        with (folder / name).open("wb") as file:
            np.save(file, array)
    for name in ("._x.npy", "z.npy", "readme.txt"):
        (folder / name).write_bytes(b"else")
    assert len(everything(load_dataset(convert(folder, tmp_path / "build")))[0]) == 40


@pytest.mark.parametrize("leads_to", ["y.npy", "nowhere"])
def test_a_link_that_leads_nowhere_is_told(leads_to: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "x.npy", X)
    (tmp_path / "data" / "y.npy").symlink_to(leads_to)
    _refused(tmp_path / "data", tmp_path, r"y\.npy cannot be read")


def test_a_folder_around_the_file_is_told_with_it(tmp_path: Path) -> None:
    _saved(tmp_path, x=X, y=CLASSES)
    _refused(tmp_path, tmp_path, r"is one file: give --data .*data\.npz$")


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "data.mat").write_bytes(b"MATLAB")
    _refused(tmp_path / "data.mat", tmp_path, "is no folder and no file that is a dataset")


def test_what_was_changed_or_left_out_is_told(tmp_path: Path) -> None:
    folder = convert(_saved(tmp_path, x=X.astype(np.float64), y=CLASSES, weights=CLASSES), tmp_path / "build")
    told = read_account(folder).told
    assert told[0].startswith("weights is none of x, y")
    assert told[1] == "x of train was of type float64, and is float32 now"


def test_classes_cannot_be_chosen(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--classes chooses folders"):
        convert(_saved(tmp_path, x=X, y=CLASSES), tmp_path / "build", ConvertOptions(classes=("0",)))
