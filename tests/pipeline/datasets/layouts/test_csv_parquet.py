"""Tables become samples and targets, however they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device_runtime.formats.sample import CLASS, VALUES
from pipeline.datasets.columns.encoding import CategoryColumn, read_encoding
from pipeline.datasets.photographs.account import read_account
from tests.pipeline.datasets.tables import ROWS, WRITERS, Columns, cell, columns, converted, rows_of, write_csv


@pytest.mark.parametrize("suffix", WRITERS)
def test_numbers_are_scaled_and_categories_have_their_places(suffix: str, tmp_path: Path) -> None:
    table = columns()
    dataset, folder = converted(WRITERS[suffix](tmp_path / f"animals.{suffix}", table))
    description = dataset.description
    assert (description.name, description.classes, description.target.kind) == ("animals", ("cat", "cow", "dog"), CLASS)
    assert (description.sample.shape, description.sample.dtype) == ((7,), "float32")
    encoding = read_encoding(folder)
    assert encoding.target == "class"
    assert encoding.categories == (
        CategoryColumn("colour", ("blue", "green", "red")),
        CategoryColumn("new", ("false", "true")),
    )
    # What the numbers were, by what is kept of them.
    x, y = rows_of(dataset)
    assert len(x) == ROWS
    raw = [x[:, place] * column.std + column.mean for place, column in enumerate(encoding.numbers)]
    found = [
        (
            round(float(raw[0][row]), 3),
            round(float(raw[1][row])),
            ("blue", "green", "red")[int(x[row, 2:5].argmax())],
            bool(x[row, 6]),
            description.classes[int(y[row])],
        )
        for row in range(ROWS)
    ]
    expected = sorted(zip(*table.values(), strict=True))
    assert [row[1:] for row in sorted(found)] == [row[1:] for row in expected]
    np.testing.assert_allclose([row[0] for row in sorted(found)], [row[0] for row in expected], atol=1e-3)
    assert np.isin(x[:, 2:], (0, 1)).all()
    assert (x[:, 2:5].sum(axis=1) == 1).all() and (x[:, 5:].sum(axis=1) == 1).all()
    trained, _ = dataset.splits["train"].batch(np.arange(len(dataset.splits["train"])))
    np.testing.assert_allclose(trained[:, :2].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(trained[:, :2].std(axis=0), 1, atol=1e-6)


def test_all_formats_give_one_dataset(tmp_path: Path) -> None:
    made = [rows_of(converted(write(tmp_path / f"a.{suffix}", columns()))[0]) for suffix, write in WRITERS.items()]
    for x, y in made[1:]:
        np.testing.assert_array_equal(x, made[0][0])
        np.testing.assert_array_equal(y, made[0][1])


TARGETS: dict[str, tuple[list[Any], str, tuple[str, ...]]] = {
    "texts": (["b", "a", "c"] * 20, CLASS, ("a", "b", "c")),
    "true and false": ([True, False] * 30, CLASS, ("false", "true")),
    "few whole numbers": ([10, 3, 8] * 20, CLASS, ("3", "8", "10")),
    "numbers below zero": ([-1, 1] * 30, CLASS, ("-1", "1")),
    "many whole numbers": (list(range(60)), VALUES, ("target",)),
    "numbers with a point": ([0.5, 1.5] * 30, VALUES, ("target",)),
}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("kind", TARGETS)
def test_a_target_is_classes_or_values(kind: str, suffix: str, tmp_path: Path) -> None:
    values, target, names = TARGETS[kind]
    source = WRITERS[suffix](tmp_path / f"a.{suffix}", {"number": list(range(60)), "target": values})
    dataset, folder = converted(source)
    assert (dataset.description.target.kind, dataset.classes) == (target, names)
    x, y = rows_of(dataset)
    (number,) = read_encoding(folder).numbers
    for row in range(60):
        value = values[round(float(x[row, 0] * number.std + number.mean))]
        said = names[int(y[row])] if target == CLASS else float(y[row, 0])
        assert said == (cell(value) if target == CLASS else value)


@pytest.mark.parametrize(
    ("names", "target", "line"),
    [
        (("a", "Target", "b"), "Target", "the target is Target, as its name says: --target-column chooses another"),
        (("class", "a", "y"), "y", "the target is y, as its name says: --target-column chooses another"),
        (("a", "b", "c"), "c", "the target is c, the last column: --target-column chooses another"),
        (("a", "label", "split"), "label", "the target is label, as its name says: --target-column chooses another"),
        (("a", "b", "split"), "b", "the target is b, the last column: --target-column chooses another"),
    ],
)
def test_the_target_is_told_where_nobody_said_it(
    names: tuple[str, ...], target: str, line: str, tmp_path: Path
) -> None:
    table = {name: ["train"] * ROWS if name == "split" else [0.5, 1.5] * 30 for name in names}
    _, folder = converted(write_csv(tmp_path / "a.csv", table))
    assert read_encoding(folder).target == target
    assert read_account(folder).told[0] == line


def test_a_target_that_was_chosen_is_not_told(tmp_path: Path) -> None:
    dataset, folder = converted(write_csv(tmp_path / "a.csv", columns()), target_column="size")
    assert dataset.description.target.kind == VALUES
    assert [column.name for column in read_encoding(folder).numbers] == ["rooms"]
    assert read_account(folder).told == ()


def test_rows_of_a_group_are_on_one_side(tmp_path: Path) -> None:
    table = columns() | {"person": [f"p{number // 4}" for number in range(ROWS)]}
    # What tells the group again, though it is no feature itself.
    table["size"] = [float(number // 4) for number in range(ROWS)]
    dataset, folder = converted(write_csv(tmp_path / "a.csv", table), group_column="person", target_column="class")
    assert "person" not in [column.name for column in read_encoding(folder).categories]
    sides: dict[float, set[str]] = {}
    for name, split in dataset.splits.items():
        for value in split.batch(np.arange(len(split)))[0][:, 0].round(4).tolist():
            sides.setdefault(value, set()).add(name)
    assert len(sides) == 15
    assert {len(side) for side in sides.values()} == {1}
    assert len(dataset.splits) == 3


def test_rows_without_a_group_stand_alone(tmp_path: Path) -> None:
    dataset, _ = converted(write_csv(tmp_path / "a.csv", columns() | {"g": [None] * 59 + [1]}), group_column="g")
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 36, "test": 12, "validation": 12}


def test_splits_are_taken_as_they_are_said(tmp_path: Path) -> None:
    said = ["train", "Test", "val"] * 20
    table = columns() | {"size": [float(number % 3) for number in range(ROWS)], "Split": said}
    dataset, folder = converted(write_csv(tmp_path / "a.csv", table), target_column="class")
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 20, "test": 20, "validation": 20}
    (size, _) = read_encoding(folder).numbers
    # Scaled by the training rows alone, of which all are 0.
    assert (size.mean, size.std) == (0, 1)
    for place, split in enumerate(("train", "test", "validation")):
        assert set(dataset.splits[split].batch(np.arange(20))[0][:, 0].tolist()) == {float(place)}


def test_missing_numbers_are_the_training_rows_median_and_told(tmp_path: Path) -> None:
    table: Columns = {"a": [1.0, 2.0, None, 90.0, None, 5.0], "y": [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]}
    table["split"] = ["train", "train", "train", "train", "test", "validation"]
    for suffix in ("csv", "parquet"):
        dataset, folder = converted(WRITERS[suffix](tmp_path / f"a.{suffix}", table))
        (number,) = read_encoding(folder).numbers
        assert (number.median, number.mean) == (2, 31)
        assert "missing numbers are the median of the training rows now: a 2" in read_account(folder).told
        x, y = rows_of(dataset)
        raw = dict(zip(y[:, 0].tolist(), (x[:, 0] * number.std + number.mean).round(4).tolist(), strict=True))
        assert raw == {0.5: 1, 1.5: 2, 2.5: 2, 3.5: 90, 4.5: 2, 5.5: 5}


def test_a_missing_category_is_one_of_its_own_and_an_unseen_one_none(tmp_path: Path) -> None:
    table: Columns = {"a": ["x", None, "y", "z", None, "x"], "y": [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]}
    table["split"] = ["train", "train", "train", "test", "test", "validation"]
    dataset, folder = converted(write_csv(tmp_path / "a.csv", table))
    assert read_encoding(folder).categories == (CategoryColumn("a", ("x", "y", None)),)
    x, y = rows_of(dataset)
    by_target = dict(zip(y[:, 0].tolist(), x.tolist(), strict=True))
    seen = {0.5: [1, 0, 0], 1.5: [0, 0, 1], 2.5: [0, 1, 0], 4.5: [0, 0, 1], 5.5: [1, 0, 0]}
    assert by_target == seen | {3.5: [0, 0, 0]}


def test_categories_are_numbers_for_embeddings_where_they_are_asked_for(tmp_path: Path) -> None:
    table: Columns = {
        "a": ["x", None, "y", "z", None, "x"],
        "b": [1, 2, 3, 4, 5, 6],
        "y": [0.5, 1.5, 2.5, 3.5, 4.5, 5.5],
    }
    table["split"] = ["train", "train", "train", "test", "test", "validation"]
    dataset, folder = converted(write_csv(tmp_path / "a.csv", table), categories="embedded")
    assert (read_encoding(folder).form, read_encoding(folder).size) == ("embedded", 2)
    x, y = rows_of(dataset)
    # Numbers come first; a value that no training row has is 0.
    codes = dict(zip(y[:, 0].tolist(), x[:, 1].tolist(), strict=True))
    assert codes == {0.5: 1, 1.5: 3, 2.5: 2, 3.5: 0, 4.5: 3, 5.5: 1}
    assert "categories are numbers from 0, for embeddings of so many: a 4" in read_account(folder).told


@pytest.mark.parametrize("odd", ["-", "1,234.5", "12 %", "$3", "31.12.2026"])
def test_texts_that_look_like_numbers_are_told(odd: str, tmp_path: Path) -> None:
    numbers: list[Any] = [f'"{odd}"', *range(29)]
    table: Columns = {"a": numbers, "b": ["red", "blue"] * 15, "y": ["u", "v"] * 15}
    _, folder = converted(write_csv(tmp_path / "a.csv", table))
    [line] = [line for line in read_account(folder).told if "look like numbers" in line]
    assert f"a ({odd!r})" in line


ODD: dict[str, tuple[bytes, int]] = {
    "a mark of UTF-8": (b"\xef\xbb\xbfa,y\n" + b"1.5,u\n2.5,v\n" * 10, 1),
    "UTF-16": (("a,y\n" + "1.5,ü\n2.5,v\n" * 10).encode("utf-16"), 1),
    "Latin-1": (("a,y\n" + "1.5,ü\n2.5,v\n" * 10).encode("latin-1"), 1),
    "Windows' ends of lines": (b"a,y\r\n" + b"1.5,u\r\n2.5,v\r\n" * 10, 1),
    "no last end of line": (b"a,y\n" + b"1.5,u\n2.5,v\n" * 10 + b"2.5,v", 1),
    "empty lines": (b"\n\na,y\n" + b"1.5,u\n\n2.5,v\n" * 10 + b"\n\n", 1),
    "semicolons and decimal commas": (b"a;b;y\n" + b"1,5;2;u\n2,5;3;v\n" * 10, 2),
    "semicolons and points": (b"a;b;y\n" + b"1.5;2;u\n2.5;3;v\n" * 10, 2),
    "spaces": (b" a, y \n" + b" 1.5 , u \n 2.5,v\n" * 10, 1),
    "lines within quotes": (b'a,"t",y\n' + b'1.5,"x\ny",u\n2.5,"x, z",v\n' * 10, 3),
    "question marks": (b"a,y\n" + b"1.5,u\n?,v\n" * 10, 1),
    "None": (b"a,y\n" + b"2.5,v\nNone,v\n1.5,u\n" * 7, 1),
    "uprights": (b"a|b|y\n" + b"1.5|2|u\n2.5|3|v\n" * 10, 2),
    "Windows-1252": (("a,y\n" + "1.5,€\n2.5,v\n" * 10).encode("cp1252"), 1),
    "numbers of rows": (b",a,y\n" + b"0,1.5,u\n1,2.5,v\n" * 10, 1),
    "an empty column": (b"a,b,y\n" + b"1.5,,u\n2.5,NA,v\n" * 10, 1),
    "a constant": (b"a,b,y\n" + b"1.5,0.1,u\n2.5,0.1,v\n" * 10, 2),
    "a huge field": (b"a,y\n" + b"1.5,u\n2.5,v\n" * 10 + b'1.5,"' + b"u" * 200_000 + b'"\n', 1),
}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_table_is_read(kind: str, tmp_path: Path) -> None:
    content, size = ODD[kind]
    (tmp_path / "a.csv").write_bytes(content)
    dataset, _ = converted(tmp_path / "a.csv")
    assert dataset.description.sample.shape == (size,)
    x, y = rows_of(dataset)
    assert len(x) in (20, 21)
    assert dataset.description.target.kind == CLASS
    assert ("€" in dataset.classes) == (kind == "Windows-1252")
    assert ("ü" in dataset.classes) == (kind in ("UTF-16", "Latin-1"))
    # The one number goes with the class, whatever stands beside it.
    v = dataset.classes.index("v")
    if kind not in ("question marks", "None", "lines within quotes"):
        np.testing.assert_array_equal((x[:20, 0] > 0)[y[:20] == v], np.ones(np.count_nonzero(y[:20] == v), bool))
