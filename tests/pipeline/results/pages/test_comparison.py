"""Results side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.results.pages.comparison import compare, rows_of
from pipeline.results.records.results import read_results
from tests.pipeline.results.made import guessed, metrics, write_metrics, write_results

LABELS = guessed([0, 1, 1], [0, 1, 0])


def test_what_differs_is_told_from_what_is_the_same(tmp_path: Path) -> None:
    first = write_results(tmp_path / "first", ("a", "b"), LABELS)
    second = write_results(tmp_path / "second", ("a", "b"), LABELS, learning_rate=0.1)
    rows = {row.name: row for row in rows_of([read_results(first), read_results(second)])}
    assert {name for name, row in rows.items() if row.differs} == {"learning rate"}
    assert rows["learning rate"].values == ("0.001", "0.1")
    assert rows["device"].values == ("Google Pixel 7", "Google Pixel 7")
    # Neither was asked for.
    assert "target accuracy" not in rows


def test_what_one_of_them_lacks_is_a_dash(tmp_path: Path) -> None:
    first = write_results(tmp_path / "first", ("a", "b"), LABELS)
    write_metrics(tmp_path / "old", metrics())
    rows = {row.name: row for row in rows_of([read_results(tmp_path / "old"), read_results(first)])}
    assert rows["device"].values == ("—", "Google Pixel 7")


def test_the_page_names_the_folders_by_letters(tmp_path: Path) -> None:
    folders = [write_results(tmp_path / name, ("a", "b"), LABELS) for name in ("first", "<second>")]
    page = compare(folders, tmp_path / "comparison.html").read_text()
    assert "<tr><th>A</th><td>first</td></tr>" in page
    assert "<tr><th>B</th><td>&lt;second&gt;</td></tr>" in page
    assert "<p>Nothing.</p>" in page


def test_more_than_there_are_letters_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="27 folders are more than"):
        compare([tmp_path] * 27, tmp_path / "comparison.html")
