"""Scripts that fail, and what is made of pulled results."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import RunFailed
from pipeline.results.report import read_metrics, write_report
from pipeline.run import run_script
from tests.pipeline.targets.saying import Saying

START = '{"event": "start", "model": "tiny", "seed": 1}\n'
STEP = '{"event": "step", "step": 1, "loss": 0.5}\n'
END = '{"event": "end", "step": 1, "seconds": 2.5}\n'


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("10: Loss", "error: training diverged"), "train.sh on x86: training diverged"),
        (("10: Loss", "Killed"), "train.sh on x86 ended with exit code 3: Killed"),
        ((), "train.sh on x86 ended with exit code 3: no output"),
    ],
)
def test_why_a_script_failed_is_said_once(lines: tuple[str, ...], message: str) -> None:
    said: list[str] = []
    with pytest.raises(RunFailed) as caught:
        run_script(Saying(3, *lines), "train.sh", [], said.append)
    assert str(caught.value) == message
    assert said == [line for line in lines if not line.startswith("error: ")]


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
