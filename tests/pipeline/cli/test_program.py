"""The program's own words: its lists and help, and what it says to a line that it cannot read."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from device_runtime.formats.option import long_form
from pipeline.configuration.declared import options_for
from tests.invoking import ROOT, Invoked, invoke, train_on_device

PROGRAMS = pytest.mark.parametrize("program", [invoke, train_on_device])


def test_tasks_are_listed_in_groups_a_line_each() -> None:
    lines = invoke("--list").stdout.splitlines()
    headings = [line for line in lines if line.endswith(":")]
    assert headings[0] == "train:"
    assert headings[-1] == "this project:"
    tasks = [line for line in lines if line.startswith("  ")]
    assert all(len(line) <= 80 and len(line.split()) > 2 for line in tasks)
    assert len(lines) == len(tasks) + 2 * len(headings)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("runn", "'runn' is no task: did you mean run?"),
        ("run --cycels 3", "run takes no option --cycels: did you mean --cycles?"),
        ("run --target-accuracy", "--target-accuracy is given without its value: stop at this accuracy"),
        ("run --target-accuracy --cycles 3", "--target-accuracy is given without its value"),
        ("run --cycles=", "--cycles is given without its value: training steps"),
        ("run --learning-rate -1", "--learning-rate -1: give a learning rate: a number of at least 0"),
        ("run --verbose=yes", "--verbose=yes: give --verbose, or --verbose=false"),
        ("run lenet", "'lenet' behind run is neither an option nor a task"),
        ("run --resume train", "'train' is ambiguous when given after an optional-value flag"),
        ("run -- -x", "-- -x: no task takes that"),
        ("--lits", "--lits is no option: did you mean --list?"),
        ("--help runn", "'runn' is no task: did you mean run?"),
        ("--help zzz", "'zzz' is no task: `"),
        ("--list=zzz", "Sub-collection 'zzz' not found: `"),
        ("runs --json", "runs takes no option --json: infer, doctor, devices take it"),
        ("fleet.join --rounds 3", "fleet.join takes no option --rounds: fleet takes it"),
        ("fleet --cycles 3", "fleet takes no option --cycles: run, train take it"),
    ],
)
@PROGRAMS
def test_a_line_that_cannot_be_read_is_one_line(program: Callable[..., Invoked], words: str, message: str) -> None:
    run = program(*words.split())
    assert run.code == 2
    assert run.stderr.startswith(f"error: {message}")
    assert run.stderr.count("\n") == 1
    assert run.stdout == ""


def test_a_way_to_list_that_there_is_not_is_told() -> None:
    run = invoke("--list", "--list-format=tree")
    assert (run.code, run.stderr) == (2, "error: --list-format tree: give flat, nested or json\n")


@pytest.mark.parametrize("words", ["--help run", "run --help", "run -h", "run --cycles 3 --help"])
@PROGRAMS
def test_help_tells_each_option_of_a_task(program: Callable[..., Invoked], words: str) -> None:
    run = program(*words.split())
    assert (run.code, run.stderr) == (0, "")
    told = [line.split()[0] for line in run.stdout.splitlines() if line.startswith("  --")]
    assert [word.split("=")[0].removesuffix("[") for word in told] == [long_form(n) for n in sorted(options_for("run"))]
    assert "training steps (default: the model's recipe)" in run.stdout


def test_the_console_command_shows_no_options_of_invokes_that_mean_nothing_here() -> None:
    run = train_on_device("--help")
    assert run.code == 0
    assert run.stdout.startswith("Usage: train-on-device TASK [--option=VALUE ...]\n")
    assert "sudo" not in run.stdout
    assert "\ntrain:\n  run  " in run.stdout
    assert train_on_device("--prompt-for-sudo-password", "run").code == 2
    assert train_on_device("--version").stdout.startswith("train-on-device ")
    half = train_on_device("--print-completion-script").stderr
    assert half.startswith("error: Flag --print-completion-script needed value and was not given one: `train-on-device")


def test_help_tells_defaults_and_of_a_device_none_that_it_answers_itself() -> None:
    infer, status = (train_on_device("--help", task).stdout for task in ("infer", "status"))
    assert "(default: build)" in infer
    assert "(default: x86)" in infer
    assert "--json" in infer
    assert "(default: false)" not in infer
    assert "(default: x86)" not in status


def test_a_character_that_the_terminal_does_not_have_is_spelt() -> None:
    run = train_on_device("--help", "train", env={"PYTHONIOENCODING": "ascii"})
    assert (run.code, run.stderr) == (0, "")
    assert "hotter than so many \\xb0C" in run.stdout


def test_output_that_finds_no_room_is_one_line(tmp_path: Path) -> None:
    for word in ("config", "--list", "convert"):
        with Path("/dev/full").open("w") as full:
            run = train_on_device(word, stdout=full, cwd=tmp_path)
        assert run.code == 1
        assert run.stderr.splitlines()[-1] == "error: a file or stdout cannot be written to: No space left on device"


def test_a_file_with_a_typo_ends_every_task_that_takes_options_but_not_its_help(tmp_path: Path) -> None:
    (tmp_path / "train.toml").write_text("cycels = 3\n")
    for words in (("run",), ("status",), ("config",)):
        run = train_on_device(*words, cwd=tmp_path)
        assert run.code == 2
        assert run.stderr == "error: train.toml: cycels is no option: did you mean cycles?\n"
        assert run.stdout == ""
    assert train_on_device("--help", "run", cwd=tmp_path).code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["train.toml"]


def test_a_train_toml_is_begun_by_the_console_command(tmp_path: Path) -> None:
    assert train_on_device("init", cwd=tmp_path).stdout == "train.toml\n"
    again = train_on_device("init", cwd=tmp_path)
    assert (again.code, again.stderr) == (2, "error: train.toml is here already: move it away first\n")
    shown = train_on_device("config", "run", "--cycles", "3", cwd=tmp_path, env={"TRAIN_ON_DEVICE_KEEP": "2"})
    assert "cycles = 3" in shown.stdout
    assert "command line" in shown.stdout
    assert "environment" in shown.stdout


def test_a_task_works_with_what_the_file_and_the_environment_say(tmp_path: Path) -> None:
    (tmp_path / "train.toml").write_text('build = "of-the-file"\nepochs = 2\n')
    assert train_on_device("convert", cwd=tmp_path).stdout.startswith("of-the-file/dataset-")
    environment = {"TRAIN_ON_DEVICE_BUILD": "of-the-environment"}
    assert train_on_device("convert", cwd=tmp_path, env=environment).stdout.startswith("of-the-environment/dataset-")
    typed = train_on_device("convert", "--build", "typed", cwd=tmp_path, env=environment)
    assert typed.stdout.startswith("typed/dataset-")
    # Of the file's epochs, which are another task's, nothing is said.
    assert "epochs" not in typed.stderr


def test_a_stdout_that_is_closed_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").touch()
    called = shlex.join([sys.executable, "-m", "invoke", "runs", "--runs", str(tmp_path)])
    done = subprocess.run(["sh", "-c", f"{called} >&-"], cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
