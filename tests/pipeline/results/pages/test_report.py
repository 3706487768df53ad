"""What is made of pulled results."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_runtime.formats.errors import FormatError
from device_runtime.formats.metrics import read_metrics
from pipeline.results.pages.report import write_report

START = (
    '{"event": "start", "model": "tiny", "run": "0a", "package": "", "engine": "lowered", "file": "", "time": 1, '
    '"first": 1, "last": 2}'
    "\n"
)
STEP = '{"event": "step", "step": 1, "loss": 0.5}\n'
END = '{"event": "end", "step": 1, "seconds": 2.5}\n'


def test_a_record_that_was_half_written_is_left_out(tmp_path: Path) -> None:
    assert read_metrics(tmp_path) == []
    (tmp_path / "metrics.jsonl").write_text(START + STEP + '{"event": "st')
    assert [record["event"] for record in read_metrics(tmp_path)] == ["start", "step"]
    write_report(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "<title>tiny, 1 steps</title>" in page
    assert "seconds" not in page


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "null",
        '{"event": "step", "step": 1, "loss": NaN}',
        '{"event": "step", "step": 1, "loss": 1e999}',
        '{"event": "step", "step": true, "loss": 0.5}',
        '{"event": "step", "loss": 0.5}',
        '{"event": "step", "step": 1, "step": 2, "loss": 0.5}',
        '{"event": "checkpoint", "step": 1, "file": "../../evil"}',
        '{"event": "checkpoint", "step": 1, "file": 3}',
        '{"event": "evaluation", "step": 1}',
        '{"event": "start", "model": ["tiny"]}',
        '{"event": 1}',
        '{"step": 1}',
        '{"event": "other", "a": ' + "[" * 900 + "]" * 900 + "}",
    ],
    ids=lambda line: line[:50],
)
def test_a_damaged_line_is_one_error_that_names_it(tmp_path: Path, line: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(f"{START}{line}\n{STEP}")
    with pytest.raises(FormatError, match=r"metrics\.jsonl is damaged in line 2 \(.*\): pull it again"):
        read_metrics(tmp_path)


def test_bytes_that_are_no_text_and_a_giant_are_refused(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(b"\xff\n")
    with pytest.raises(FormatError, match="damaged in line 1"):
        read_metrics(tmp_path)
    with (tmp_path / "metrics.jsonl").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(FormatError, match="is of no training"):
        read_metrics(tmp_path)


def test_metrics_without_a_beginning_make_no_report(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(STEP)
    with pytest.raises(FormatError, match="says of no training that it began"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_the_report_of_a_whole_training_says_how_long_it_took(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(START + STEP + END)
    write_report(tmp_path)
    assert "<td>seconds</td><td>2.5</td>" in (tmp_path / "report.html").read_text()
