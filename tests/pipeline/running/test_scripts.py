"""What is handed on of what a script prints, and why one failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_runtime.formats.moment import Moment, line_of
from pipeline.errors import RunFailed
from pipeline.running.scripts import live_options, logged, run_script, shown
from tests.in_terminal import in_terminal, without_escapes
from tests.pipeline.targets.saying import Saying

MOMENT = line_of(Moment(1, 2, 0.5))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("10: Loss", "error: training diverged"), "train.sh on x86: training diverged"),
        (("10: Loss", "Killed"), "train.sh on x86 ended with exit code 3: Killed"),
        (("10: Loss", "Killed", MOMENT), "train.sh on x86 ended with exit code 3: Killed"),
        ((), "train.sh on x86 ended with exit code 3: no output"),
    ],
)
def test_why_a_script_failed_is_said_once(lines: tuple[str, ...], message: str) -> None:
    said: list[str] = []
    with pytest.raises(RunFailed) as caught:
        run_script(Saying(3, *lines), "train.sh", [], said.append)
    assert str(caught.value) == message
    assert said == [line for line in lines if not line.startswith(("error: ", "@progress"))]


@pytest.mark.parametrize(
    "damaged",
    [MOMENT[:-5], MOMENT[:12], "@progress ", '@progress {"step": 5, "steps": 2}', MOMENT.replace("0.5", '"half"')],
)
def test_lines_for_the_display_are_nobodys_output_damaged_or_not(damaged: str, tmp_path: Path) -> None:
    with logged(tmp_path) as say:
        run_script(Saying(0, MOMENT, "10: Loss", damaged, MOMENT, "20: Loss"), "train.sh", [], say)
    assert (tmp_path / "log").read_text() == "10: Loss\n20: Loss\n"


def test_only_a_training_that_a_user_sees_is_asked_how_far_it_is() -> None:
    # pytest has taken the outputs.
    assert live_options("train.sh") == []
    program = "from pipeline.running.scripts import live_options as l; print(l('train.sh'), l('eval.sh'))"
    assert in_terminal(["-c", program]) == "['--progress'] []\n"


def test_who_attaches_without_a_terminal_sees_the_lines_of_a_training_alone() -> None:
    said: list[str] = []
    with shown(said.append) as take:
        for line in (MOMENT, "error: that is a line, too", MOMENT[:-1]):
            take(line)
    assert said == ["error: that is a line, too"]


@pytest.mark.slow
def test_a_training_on_a_terminal_is_shown_and_its_lines_are_those_of_any_other(build: Path) -> None:
    words = ("-m", "invoke", "train", "--cycles", "300", "--build", build, "--runs", build / "runs")
    text = without_escapes(in_terminal(words))
    lines = [line.rstrip() for line in text.splitlines()]
    assert [line.partition(":")[0] for line in lines if "Loss is" in line] == ["100", "200", "300"]
    assert "step 0 of 300" in lines
    assert any(line.startswith("step ") and "loss" in line and line.endswith(" left") for line in lines)
    assert "@progress" not in text
