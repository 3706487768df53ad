"""Every option of every task, half given: one line, exit code 2, and nothing is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_runtime.formats.option import Option, long_form
from pipeline.cli.program import TASKS, TaskProgram, namespace
from pipeline.configuration.declared import options_for

OPTIONS = [
    pytest.param(typed, name, option, id=f"{typed} {long_form(name)}")
    for typed, task in TASKS.items()
    if task.name != "config"
    for name, option in options_for(task.name).items()
]

# With another option of the task.
PAIRS = [
    pytest.param(typed, name, next(other for other in options if other != name), id=f"{typed} {long_form(name)}")
    for typed, task in TASKS.items()
    if len(options := options_for(task.name)) > 1
    for name, option in options.items()
    if option.read is not bool and not option.alone
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where one is."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def program() -> TaskProgram:
    """The console command."""
    return TaskProgram(name="train-on-device", binary="train-on-device", namespace=namespace())


def half_given(flag: str, option: Option) -> list[list[str]]:
    """Ways to type an option that cannot be meant."""
    if option.read is bool:
        return [[f"{flag}="], [f"{flag}=yes"], [f"{flag}=1"], [flag, flag], [f"{flag}x"]]
    empty = [[f"{flag}="], [flag, ""], [f"{flag}x", "1"]]
    if option.words:
        return empty[:2]
    twice = [[flag, "1", flag, "1"], [f"{flag}=1", flag, "1"]]
    return [*empty, *twice, *([] if option.alone else [[flag], [flag, "--help"], [flag, "--nonsense", "1"]])]


@pytest.mark.parametrize(("task", "name", "option"), OPTIONS)
def test_a_half_given_option_is_one_line(
    task: str, name: str, option: Option, program: TaskProgram, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in half_given(long_form(name), option):
        with pytest.raises(SystemExit) as end:
            program.run(["train-on-device", task, *words])
        out, err = capsys.readouterr()
        assert end.value.code == 2, words
        assert err.startswith("error: "), words
        assert long_form(name) in err, words
        assert err.count("\n") == 1, words
        assert out == "", words
    assert not list(folder.iterdir())


@pytest.mark.parametrize(("task", "name", "other"), PAIRS)
def test_an_option_without_a_value_does_not_take_the_next_one_for_it(
    task: str, name: str, other: str, program: TaskProgram, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        program.run(["train-on-device", task, long_form(name), long_form(other), "1"])
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {long_form(name)} is given without its value")
