"""What is made of pulled results."""

from __future__ import annotations

from pathlib import Path

from device_runtime.formats.metrics import read_metrics
from pipeline.results.report import write_report

START = '{"event": "start", "model": "tiny", "seed": 1}\n'
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


def test_the_report_of_a_whole_training_says_how_long_it_took(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(START + STEP + END)
    write_report(tmp_path)
    assert "<td>seconds</td><td>2.5</td>" in (tmp_path / "report.html").read_text()
