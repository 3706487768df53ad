"""The program's own words: its list of tasks, and what it says to a line that it cannot read."""

from __future__ import annotations

import pytest

from tests.invoking import invoke


def test_tasks_are_listed_in_groups_a_line_each() -> None:
    lines = invoke("--list").stdout.splitlines()
    headings = [line for line in lines if line.endswith(":")]
    assert headings[0] == "train:"
    assert headings[-1] == "this project:"
    tasks = [line for line in lines if line.startswith("  ")]
    assert all(len(line) <= 80 and len(line.split()) > 2 for line in tasks)
    assert len(lines) == len(tasks) + 2 * len(headings)


@pytest.mark.parametrize("words", ["runn", "run --cycels 3", "run --target-accuracy", "run --cycles"])
def test_a_line_that_cannot_be_read_is_one_line(words: str) -> None:
    run = invoke(*words.split())
    assert run.code == 2
    assert run.stderr.startswith("error: ")
    assert run.stderr.count("\n") == 1
    assert run.stdout == ""
