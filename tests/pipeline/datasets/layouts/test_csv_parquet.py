"""Tables become samples and targets; odd and damaged ones the right thing, or one line that names the column."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from device_runtime.formats.dataset import Dataset, load_dataset
from device_runtime.formats.sample import CLASS, VALUES
from pipeline.datasets.columns.encoding import CategoryColumn, read_encoding
from pipeline.datasets.convert import ConvertOptions, convert
from pipeline.datasets.photographs.account import read_account
from pipeline.errors import DatasetError, PipelineError, UsageError
from tests.invoking import ROOT, invoke

ROWS = 60

Columns = dict[str, list[Any]]


def columns(rows: int = ROWS) -> Columns:
    """A table of mixed columns whose target is one of three texts."""
    random = np.random.default_rng(1)
    return {
        "size": random.normal(100, 20, rows).round(3).tolist(),
        "rooms": random.integers(1, 9, rows).tolist(),
        "colour": random.choice(["red", "green", "blue"], rows).tolist(),
        "new": (random.random(rows) < 0.5).tolist(),
        "class": [("cat", "dog", "cow")[number % 3] for number in range(rows)],
    }


def write_csv(path: Path, table: Columns, delimiter: str = ",") -> Path:
    lines = [delimiter.join(table), *(delimiter.join(map(_cell, row)) for row in zip(*table.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return path


def _cell(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def write_parquet(path: Path, table: Columns) -> Path:
    parquet.write_table(pa.table(table), path)
    return path


def converted(source: Path, **options: Any) -> tuple[Dataset, Path]:
    folder = convert(source, source.parent / "build", ConvertOptions(**options), on_warning=lambda line: None)
    return load_dataset(folder), folder


def rows_of(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Samples and targets of all splits."""
    parts = [split.batch(np.arange(len(split))) for split in dataset.splits.values()]
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def refusal(source: Path, kind: type[PipelineError] = DatasetError, **options: Any) -> str:
    """The one line by which a table is refused, and of which nothing is left."""
    with pytest.raises(kind) as refused:
        converted(source, **options)
    assert not [path for path in (source.parent / "build").glob("*") if path.name.startswith("dataset")]
    line = str(refused.value)
    assert line.isprintable()
    assert len(line) < 1000
    return line.replace(str(source), "IN")


WRITERS: dict[str, Callable[[Path, Columns], Path]] = {
    "csv": write_csv,
    "tsv": lambda path, table: write_csv(path, table, "\t"),
    "parquet": write_parquet,
}


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
        assert said == (_cell(value) if target == CLASS else value)


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
    table = {"a": [1.0, 2.0, None, 90.0, None, 5.0], "y": [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]}
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
    table = {"a": ["x", None, "y", "z", None, "x"], "y": [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]}
    table["split"] = ["train", "train", "train", "test", "test", "validation"]
    dataset, folder = converted(write_csv(tmp_path / "a.csv", table))
    assert read_encoding(folder).categories == (CategoryColumn("a", ("x", "y", None)),)
    x, y = rows_of(dataset)
    by_target = dict(zip(y[:, 0].tolist(), x.tolist(), strict=True))
    seen = {0.5: [1, 0, 0], 1.5: [0, 0, 1], 2.5: [0, 1, 0], 4.5: [0, 0, 1], 5.5: [1, 0, 0]}
    assert by_target == seen | {3.5: [0, 0, 0]}


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
    assert ("ü" in dataset.classes) == (kind in ("UTF-16", "Latin-1"))
    # The one number goes with the class, whatever stands beside it.
    v = dataset.classes.index("v")
    if kind not in ("question marks", "lines within quotes"):
        np.testing.assert_array_equal((x[:20, 0] > 0)[y[:20] == v], np.ones(np.count_nonzero(y[:20] == v), bool))


def text(line: str) -> bytes:
    return ("a,y\n" + "1.5,u\n2.5,v\n" * 10 + line).encode()


DAMAGED: dict[str, tuple[str, bytes, str]] = {
    "empty": ("csv", b"", "IN cannot be read: Empty CSV file"),
    "a heading alone": ("csv", b"a,y\n", "IN has no row below its heading"),
    "a heading without an end": ("csv", b"a,y", "IN cannot be read: CSV parse error: Empty CSV file"),
    "one column": ("csv", b"y\n1\n2\n", "IN has y: a table has columns beside its target"),
    "a short row": ("csv", text("1.5\n"), "IN cannot be read: CSV parse error: Row #22: Expected 2 columns, got 1"),
    "a long row": ("csv", text("1.5,u,9\n"), "Row #22: Expected 2 columns, got 3: 1.5,u,9"),
    "a quote without end": ("csv", text('"1.5,u\n'), "Row #22: Expected 2 columns, got"),
    "a long row of much": ("csv", text("x" * 100_000 + ",1,2\n"), "Row #22: Expected 2 columns, got 3: xxx"),
    "no heading": ("csv", b"1,2\n3,4\n", "IN begins with numbers, 1, 2: put the names of the columns above them"),
    "two columns of one name": ("csv", b"a,a,y\n1,2,3\n", "IN has two columns of one name, a: name each once"),
    "no text": ("csv", b"PK\x03\x04\0\0\0", "IN cannot be read: it is no text"),
    "no target in a row": ("csv", text("9,\n"), "the target y is missing in 1 of 21 rows, the first is row 21"),
    "NaN as target": ("csv", b"a,y\n1,0.5\n2,nan\n", "the target y is missing in 1 of 2 rows, the first is row 2"),
    "an infinite target": ("csv", b"a,y\n1,0.5\n2,inf\n", "the target y is infinite in 1 rows, the first is row 2"),
    "a target beyond float32": ("csv", b"a,y\n" + b"1,1e300\n" * 20, "y of train: 20 of 20 samples hold NaN"),
    "an infinite number": ("csv", b"a,y\n1,u\n-inf,v\n", "the column a is infinite in 1 rows, the first is row 2"),
    "dates": ("csv", b"a,b,y\n2020-01-01,1,u\n2020-01-02,2,v\n", "the column a holds dates or times: make numbers of"),
    "times as target": ("csv", b"a,y\n1,2020-01-01 10:00:00\n", "the target y holds dates or times"),
    "two rows": ("csv", b"a,y\n1,u\n2,v\n", "2 samples leave none for test: give more"),
    "nothing beside the target": ("csv", b"a,y\n,1.5\n,2.5\n,1.5\n,2.5\n,2.5\n", "IN has no value beside its target"),
    "another split": ("csv", b"a,y,split\n1,u,train\n2,v,tarin\n", "the first is row 2: 'tarin'"),
    "a split of numbers": ("csv", b"a,y,split\n1,u,1\n2,v,2\n", "the column split says train, test or validation"),
    "no split": ("csv", b"a,y,split\n1,u,train\n2,v,\n", "the first is row 2: ''"),
    "nothing to train on": ("csv", b"a,y,split\n1,u,test\n2,v,test\n", "the column split leaves no row to train on"),
    "no Parquet": ("parquet", b"a,y\n1,2\n", "IN cannot be read: Parquet"),
    "empty Parquet": ("parquet", b"", "IN cannot be read: Parquet file size is 0 bytes"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_table_is_one_line(kind: str, tmp_path: Path) -> None:
    suffix, content, message = DAMAGED[kind]
    (tmp_path / f"a.{suffix}").write_bytes(content)
    assert message in refusal(tmp_path / f"a.{suffix}")


def test_free_text_is_refused_by_its_name_with_all_else(tmp_path: Path) -> None:
    rows = 1001
    table = columns(rows) | {"note": [f"note {number}" for number in range(rows)]}
    table["when"] = [date(2020, 1, 1)] * rows
    assert refusal(write_parquet(tmp_path / "a.parquet", table), target_column="class") == (
        "IN: the column note is text of 1,001 different values: remove the column, or sort them into at most 1,000; "
        "the column when holds dates or times: make numbers of them, as days since the first, or remove the column"
    )
    table["note"][0] = table["note"][1]
    del table["when"]
    _, folder = converted(write_parquet(tmp_path / "a.parquet", table), target_column="class")
    assert "columns that differ in most rows tell little, remove them: note" in read_account(folder).told


PARQUET: dict[str, tuple[pa.Array, str]] = {
    "lists": (pa.array([[1], [2]] * 30), "the column it is of type list<"),
    "bytes": (pa.array([b"\xff", b"b"] * 30), "the column it holds bytes that are no text"),
    "structures": (pa.array([{"a": 1}] * 60), "the column it is of type struct<"),
    "durations": (pa.array([1, 2] * 30, pa.duration("s")), "the column it holds dates or times"),
    "categories of dates": (
        pa.array([date(2020, 1, 1)] * 60).dictionary_encode(),
        "the column it holds dates or times",
    ),
}


@pytest.mark.parametrize("kind", PARQUET)
def test_a_column_of_something_else_is_named(kind: str, tmp_path: Path) -> None:
    column, message = PARQUET[kind]
    table = pa.table({"it": column, "b": [1.5, 2.5] * 30, "y": [0.5, 1.5] * 30})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert message in refusal(tmp_path / "a.parquet")
    # As a group it says who belongs together, or one line says that it cannot.
    try:
        converted(tmp_path / "a.parquet", group_column="it")
    except DatasetError as error:
        assert "the group is of type" in str(error) or "leave none" in str(error)


NUMBERS: dict[str, pa.Array] = {
    "float16": pa.array(np.array([1, 2] * 30, np.float16)),
    "uint8": pa.array([1, 2] * 30, pa.uint8()),
    "large whole numbers": pa.array([2**62, 2**63 - 1] * 30, pa.uint64()),
    "decimals": pa.array([Decimal("1.25"), Decimal("2.50")] * 30),
    "whole numbers of which some are missing": pa.array([1, None, 2] * 20),
}
TEXTS: dict[str, pa.Array] = {
    "categories": pa.array(["a", "b"] * 30).dictionary_encode(),
    "large text": pa.array(["a", "b"] * 30, pa.large_string()),
    "views": pa.array(["a", "b"] * 30, pa.string_view()),
}


@pytest.mark.parametrize("kind", [*NUMBERS, *TEXTS])
def test_what_parquet_knows_is_numbers_or_categories(kind: str, tmp_path: Path) -> None:
    table = pa.table({"it": (NUMBERS | TEXTS)[kind], "y": [0.5, 1.5] * 30})
    parquet.write_table(table, tmp_path / "a.parquet")
    dataset, folder = converted(tmp_path / "a.parquet")
    encoding = read_encoding(folder)
    assert (len(encoding.numbers), len(encoding.categories)) == ((1, 0) if kind in NUMBERS else (0, 1))
    x, _ = rows_of(dataset)
    assert len(np.unique(x, axis=0)) == 2
    parquet.write_table(pa.table({"b": [1.5, 2.5] * 30, "y": table["it"]}), tmp_path / "b.parquet")
    if kind != "whole numbers of which some are missing":
        assert converted(tmp_path / "b.parquet")[0].description.target.count >= 1


@pytest.mark.parametrize("cut", [1, 4, 8, 100, 0.5, -1])
def test_a_parquet_cut_short_is_one_line(cut: float, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", columns())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * cut) if cut == 0.5 else int(cut)])
    assert refusal(path).startswith("IN cannot be read: ")


def test_a_damaged_parquet_is_never_a_traceback(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", columns())
    content = path.read_bytes()
    random = np.random.default_rng(3)
    for number in range(150):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), 4):
            damaged[place] = random.integers(256)
        source = tmp_path / f"{number}.parquet"
        source.write_bytes(damaged)
        try:
            converted(source)
        except PipelineError as error:
            assert str(error).isprintable()


def test_columns_that_are_not_there_are_told_with_the_nearest(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "a.csv", columns())
    said = "IN has size, rooms, colour, new, class"
    assert refusal(source, UsageError, target_column="clas") == f"--target-column clas: {said}: did you mean class?"
    assert refusal(source, UsageError, group_column="zzz") == f"--group-column zzz: {said}"
    both = refusal(source, UsageError, group_column="new", target_column="new")
    assert both == "--target-column and --group-column are both new: the target tells nothing of groups"


def test_what_is_of_tables_is_refused_of_others_and_the_other_way_round(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--group-column belongs to tables, .*sample is none: leave it out$"):
        convert(None, tmp_path / "build", ConvertOptions(group_column="a"))
    source = write_csv(tmp_path / "a.csv", columns())
    assert "--classes chooses folders of photographs, IN is a table" in refusal(source, UsageError, classes=("a", "b"))
    assert "IN names images: give the folder that holds them" in refusal(write_csv(tmp_path / "labels.csv", columns()))


def test_without_pyarrow_a_line_says_how_to_get_it(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden" / "pyarrow"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ModuleNotFoundError('pyarrow')")
    source = write_csv(tmp_path / "a.csv", columns())
    environment = os.environ | {"PYTHONPATH": f"{hidden.parent}:{ROOT}"}
    command = [sys.executable, "-m", "invoke", "-r", str(ROOT), "-c", "tasks", "convert", "--check", "--data", source]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert done.stderr.splitlines()[-1] == (
        f"error: {source} is read with pyarrow, which is not here: `pip install pyarrow`"
    )
    assert "Traceback" not in done.stderr


def test_a_refusal_is_a_line_and_an_exit_code(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_text("a,y\n1,2\n3\n")
    done = invoke("convert", "--data", str(source), "--build", str(tmp_path / "build"))
    assert (done.code, done.stderr.splitlines()[-1]) == (
        4,
        f"error: {source} cannot be read: CSV parse error: Row #3: Expected 2 columns, got 1: 3",
    )
    assert not list((tmp_path / "build").glob("dataset*"))
    wrong = invoke("convert", "--data", str(source), "--target-column", "z", "--build", str(tmp_path / "build"))
    assert wrong.code == 4
