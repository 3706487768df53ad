"""Damaged tables, and columns from which nothing can be learnt: one line that says which."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from pipeline.datasets.columns.encoding import read_encoding
from pipeline.datasets.convert import ConvertOptions, convert
from pipeline.datasets.photographs.account import read_account
from pipeline.errors import DatasetError, PipelineError, UsageError
from tests.invoking import ROOT, invoke
from tests.pipeline.datasets.tables import columns, converted, refusal, rows_of, write_csv, write_parquet


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
    with pytest.raises(
        UsageError, match=r"^--categories embedded, or the recipe's, belongs to tables, .*sample is none"
    ):
        convert(None, tmp_path / "build", ConvertOptions(categories="embedded"))
    source = write_csv(tmp_path / "a.csv", columns())
    assert "--classes chooses folders of photographs, IN is a table" in refusal(source, UsageError, classes=("a", "b"))
    assert "IN names images: give the folder that holds them" in refusal(write_csv(tmp_path / "labels.csv", columns()))


def test_without_pyarrow_a_line_says_how_to_get_it(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden" / "pyarrow"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ModuleNotFoundError('pyarrow')")
    source = write_csv(tmp_path / "a.csv", columns())
    environment = os.environ | {"PYTHONPATH": f"{hidden.parent}:{ROOT}"}
    words = ["-m", "invoke", "-r", str(ROOT), "-c", "tasks", "convert", "--check", "--data", str(source)]
    command = [sys.executable, *words]
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
