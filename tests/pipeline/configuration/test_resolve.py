"""Which of several values is in force."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.configuration.given import Typed, typed_options
from pipeline.configuration.resolve import InForce, configured, in_force, read_settings
from pipeline.errors import UsageError


def resolved(
    folder: Path, typed: Typed, file: str = "", environment: dict[str, str] | None = None, task: str = "run"
) -> InForce:
    (folder / "train.toml").write_text(file)
    variables = {f"TRAIN_ON_DEVICE_{name}": text for name, text in (environment or {}).items()}
    return in_force(task, typed_options(typed), configured(folder, variables))


def test_the_command_line_comes_before_the_environment_that_before_the_file_and_that_before_the_default(
    tmp_path: Path,
) -> None:
    file = "cycles = 1\nkeep = 1\nseed = 1\n"
    found = resolved(tmp_path, {"cycles": "3"}, file, {"CYCLES": "2", "KEEP": "2"})
    runner = found.settings.runner
    assert (runner.cycles, runner.keep, runner.seed, runner.engine) == (3, 2, 1, "lowered")
    origins = {given.name: given.origin for given in found.given}
    assert origins == {"cycles": "command line", "keep": "environment", "seed": "train.toml:3"}


def test_a_tasks_table_comes_before_what_is_for_all_tasks(tmp_path: Path) -> None:
    file = "cycles = 1\nkeep = 4\n[train]\ncycles = 2\n"
    assert resolved(tmp_path, {}, file, task="train").settings.runner.cycles == 2
    assert resolved(tmp_path, {}, file, task="train").settings.runner.keep == 4
    assert resolved(tmp_path, {}, file, task="run").settings.runner.cycles == 1


def test_a_task_takes_of_a_file_only_its_own_options(tmp_path: Path) -> None:
    found = resolved(tmp_path, {}, "cycles = 1\nserial = 's'\n", task="status")
    assert found.settings.serial == "s"
    assert found.settings.runner.cycles is None


def test_data_for_all_tasks_is_not_the_photographs_of_the_benchmark(tmp_path: Path) -> None:
    assert resolved(tmp_path, {}, "data = 'digits'", {}, task="convert").settings.data == Path("digits")
    assert resolved(tmp_path, {}, "data = 'digits'", {}, task="bench").settings.data is None
    assert resolved(tmp_path, {}, "", {"DATA": "digits"}, task="bench").settings.data is None
    file = "data = 'digits'\n[bench]\ndata = 'photographs'"
    assert resolved(tmp_path, {}, file, task="bench").settings.data == Path("photographs")


def test_a_run_on_other_data_is_not_evaluated_with_what_a_file_says_of_trainings(tmp_path: Path) -> None:
    file = "engine = 'reference'\ncheckpoint = 'c'\nverbose = true\ndata = 'own'\n"
    found = resolved(tmp_path, {"run": "runs/a", "data": "others"}, file, task="eval")
    assert {given.name for given in found.given} == {"run", "data"}
    assert [given.name for given in found.aside] == ["engine", "checkpoint"]
    assert resolved(tmp_path, {}, "data = 'own'\nverbose = true\n", task="eval").given == ()


def test_a_switch_of_a_file_is_switched_off_where_that_is_typed(tmp_path: Path) -> None:
    assert resolved(tmp_path, {}, "while-charging = true").settings.runner.while_charging
    assert not resolved(tmp_path, {"while_charging": "false"}, "while-charging = true").settings.runner.while_charging


@pytest.mark.parametrize(
    ("typed", "file", "aside"),
    [
        ({"cycles": "5"}, "epochs = 2\nkeep = 3\n", ["epochs"]),
        ({"sink_size": "2"}, "accumulate = 2\nkeep = 3\n", ["accumulate"]),
        ({"target": "arm64"}, "engine = 'reference'\n", ["engine"]),
        ({"model": "lenet"}, "model = 'transfer'\nhead = 'features'\n", ["head"]),
        ({"model": "transfer"}, "head = 'features'\n", []),
        ({"model": "own.onnx"}, "weights = 'w.pt'\n", ["weights"]),
        ({"loss": "mean_squared_error"}, "label-smoothing = 0.1\n", ["label_smoothing"]),
        ({"resume": True}, "cycles = 3\nruns = 'elsewhere'\nverbose = true\nmodel = 'transfer'\n", ["cycles", "model"]),
        ({"cycles": "5"}, "resume = true\n", ["resume"]),
        ({"while_charging": "false", "resume": True}, "while-charging = true", []),
    ],
)
def test_what_is_typed_wins_over_what_contradicts_it(typed: Typed, file: str, aside: list[str], tmp_path: Path) -> None:
    found = resolved(tmp_path, typed, file)
    assert [given.name for given in found.aside] == aside
    assert {given.name for given in found.given} >= typed.keys()


def test_what_is_typed_against_a_file_keeps_what_goes_with_it(tmp_path: Path) -> None:
    found = resolved(tmp_path, {"resume": True}, "cycles = 3\nruns = 'elsewhere'\n")
    assert found.settings.runs == Path("elsewhere")
    assert found.settings.runner.cycles is None


@pytest.mark.parametrize(
    ("file", "environment", "message"),
    [
        ("cycles = 1\nepochs = 1\n", {}, "train.toml: give --cycles or --epochs, not both"),
        ("resume = true\nepochs = 1\n", {}, "train.toml: --resume goes on with the options"),
        ("cycles = 0\n", {}, "train.toml: --cycles 0 trains nothing"),
        ("", {"CYCLES": "1", "EPOCHS": "1"}, "environment: give --cycles or --epochs, not both"),
        ("engine = 'reference'\nsink-size = 2\n", {"CYCLES": "1"}, "train.toml: --engine reference takes neither"),
    ],
)
def test_a_place_that_contradicts_itself_is_an_error_that_names_it(
    file: str, environment: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as error:
        resolved(tmp_path, {}, file, environment)
    assert str(error.value).startswith(message)


def test_what_is_typed_and_contradicts_itself_is_told_as_it_was_typed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^give --cycles or --epochs, not both$"):
        resolved(tmp_path, {"cycles": "1", "epochs": "1"}, "cycles = 4")


def test_what_is_left_out_is_told_but_for_a_training_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.toml").write_text("epochs = 2\n")
    assert read_settings("run", {"cycles": "5"}).runner.epochs is None
    assert capsys.readouterr().err == (
        "train.toml:1: epochs does not go with what else is asked for, and is left out\n"
    )
    assert read_settings("run", {"resume": True}).resume == ""
    assert capsys.readouterr().err == ""
