"""The table of results folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.results.listing import list_runs
from tests.pipeline.results.made import guessed, metrics, write_metrics, write_results


def test_each_folder_is_a_line_and_a_damaged_one_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_results(tmp_path / "20260101-000000-lenet-arm64", ("a", "b"), guessed([0], [0]))
    write_metrics(tmp_path / "20260102-000000-tiny-x86", metrics()[:3])
    (tmp_path / "20260103-000000-bad-x86").mkdir()
    (tmp_path / "20260103-000000-bad-x86" / "metrics.jsonl").write_text("what\n")
    list_runs(tmp_path)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["began", "name", "model", "target", "accuracy", "steps", "state"]
    assert lines[1][:7] == ["-", "20260103-000000-bad-x86", "-", "-", "-", "-", "damaged:"]
    assert lines[2][2:] == ["20260102-000000-tiny-x86", "lenet", "-", "-", "2", "interrupted"]
    assert lines[3][2:] == ["20260101-000000-lenet-arm64", "lenet", "arm64", "0.9", "120", "ended"]


def test_where_there_are_none_a_line_says_how_to_make_some(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    list_runs(tmp_path / "runs")
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"{tmp_path / 'runs'} has no results: ")


@pytest.mark.parametrize(("columns", "first"), [("120", "began"), ("80", "name"), ("20", "name")])
def test_a_terminal_that_is_too_narrow_for_time_and_name_has_the_name_in_one_piece(
    columns: str, first: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", columns)
    write_results(tmp_path / "20260101-000000-[red]lenet-arm64", ("a", "b"), guessed([0], [0]))
    list_runs(tmp_path)
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split()[0] == first
    assert "20260101-000000-[red]lenet-arm64" in line
