"""The train.toml that `invoke init` writes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from pipeline.configuration.declared import declared
from pipeline.configuration.file import file_options
from pipeline.configuration.given import key_of
from pipeline.configuration.template import template, write_template
from pipeline.errors import UsageError

COMMENTED_OUT = re.compile(r"^#(?=[a-z])", re.MULTILINE)


def test_as_it_is_written_it_changes_nothing(tmp_path: Path) -> None:
    assert write_template(tmp_path) == tmp_path / "train.toml"
    assert file_options(tmp_path) == ()
    assert [path.name for path in tmp_path.iterdir()] == ["train.toml"]


def test_every_option_can_be_uncommented_at_once() -> None:
    content = tomllib.loads(COMMENTED_OUT.sub("", template()))
    assert content.keys() == {key_of(name) for name, option in declared().items() if not option.words}


def test_each_line_that_is_uncommented_is_a_value_that_the_option_takes(tmp_path: Path) -> None:
    (tmp_path / "train.toml").write_text(COMMENTED_OUT.sub("", template()))
    given = {one.name: one for one in file_options(tmp_path)}
    assert len(given) == len(COMMENTED_OUT.findall(template()))
    assert all(one.line for one in given.values())


def test_its_lines_are_as_long_as_those_of_the_sources() -> None:
    assert max(map(len, template().splitlines())) <= 120


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "train.toml").write_text("cycles = 3\n")
    with pytest.raises(UsageError, match=r"train\.toml is here already"):
        write_template(tmp_path)
    assert (tmp_path / "train.toml").read_text() == "cycles = 3\n"


def test_no_second_place_for_options_is_made_beside_pyproject(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.train-on-device]\ncycles = 3\n")
    with pytest.raises(UsageError, match=r"pyproject\.toml holds the options"):
        write_template(tmp_path)
    assert not (tmp_path / "train.toml").exists()
