"""What `invoke config` prints."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from pipeline.configuration.declared import options_for
from pipeline.configuration.show import shown
from pipeline.errors import UsageError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where one is."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(text: str) -> dict[str, tuple[str, str]]:
    """What is left and right of `# `, by the option."""
    parts = [line.rsplit("  # ", 1) for line in text.splitlines() if "  # " in line]
    return {left.removeprefix("# ").split(" ")[0]: (left.strip(), origin) for left, origin in parts}


def test_every_option_is_there_with_its_value_and_where_it_comes_from(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "train.toml").write_text("cycles = 3\naugment = ['flip', 'crop']\nmodel = 'transfer'\n")
    monkeypatch.setenv("TRAIN_ON_DEVICE_MODEL", "lenet")
    found = lines(shown({"batch_size": "16", "while_charging": "true"}))
    assert found.keys() == {name.replace("_", "-") for name in options_for("config")} - {"task"}
    assert found["cycles"] == ("cycles = 3", "train.toml:1")
    assert found["augment"] == ('augment = ["flip", "crop"]', "train.toml:2")
    assert found["model"] == ('model = "lenet"', "environment")
    assert found["batch-size"] == ("batch-size = 16", "command line")
    assert found["while-charging"] == ("while-charging = true", "command line")
    assert found["repeats"] == ("repeats = 10", "default")
    assert found["epochs"] == ("# epochs", "default")


def test_it_can_be_kept_as_a_file(folder: Path) -> None:
    (folder / "train.toml").write_text("cycles = 3\nclasses = ['a, b', 'c']\n[bench]\nrepeats = 2\n")
    first = shown({})
    (folder / "train.toml").write_text(first)
    assert tomllib.loads(shown({})) == tomllib.loads(first)
    assert tomllib.loads(first)["bench"] == {"repeats": 2}


def test_of_a_task_it_shows_what_that_task_takes(folder: Path) -> None:
    (folder / "train.toml").write_text("data = 'digits'\n[bench]\nrepeats = 2\n")
    text = shown({"task": ["bench", "convert"]})
    bench, convert = text.split("\n\n")
    assert bench.startswith("[bench]\n")
    assert lines(bench)["repeats"] == ("repeats = 2", "train.toml:3")
    assert lines(bench)["data"] == ("# data", "default")
    assert lines(convert)["data"] == ('data = "digits"', "train.toml:1")
    assert "cycles" not in lines(convert)


def test_a_task_that_is_none_is_told() -> None:
    with pytest.raises(UsageError, match="'config' is no task that takes options: run, "):
        shown({"task": ["config"]})
    with pytest.raises(UsageError, match="'bensh' is no task that takes options: did you mean bench"):
        shown({"task": ["bensh"]})


def test_what_is_left_out_is_shown_too(folder: Path) -> None:
    (folder / "train.toml").write_text("epochs = 3\n")
    assert "# epochs = 3" in shown({"cycles": "3", "task": ["run"]})
    assert "train.toml:1, left out" in shown({"cycles": "3", "task": ["run"]})
