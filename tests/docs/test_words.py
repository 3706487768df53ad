"""What pages name in backticks: tasks and options of that name exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from invoke.collection import Collection

import tasks
from device_runtime.formats.option import long_form, options_of
from device_runtime.formats.options import Options as RunnerOptions
from pipeline.cli.program import TaskProgram, namespace
from pipeline.fleet.options.declared import FleetOptions
from pipeline.settings import Settings
from tests.docs.pages import PAGES, spans_of

PROGRAMS = {"invoke": tasks.namespace, "train-on-device": namespace()}

# Options that are the program's own, the emulated device's, torch's exporter's and Docker's, or no task's at all.
OTHERS = {"--help", "--list", "--android", "--abi", "--privileged", "--version"}


class _Reading(TaskProgram):
    """Reads a line as the program does, and does nothing."""

    def execute(self) -> None:
        """Not here."""


def _read(line: str, collection: Collection, capsys: pytest.CaptureFixture[str]) -> str:
    """What the program says against a line; nothing where it reads it."""
    try:
        _Reading(namespace=collection).run(shlex.split(re.sub("<[^>]+>|…", "x", line)))
    except SystemExit as ended:
        return capsys.readouterr().err if ended.code else ""
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_within_a_sentence_can_be_read(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    problems = {}
    for line in spans_of(page):
        collection = PROGRAMS.get(line.partition(" ")[0])
        # A sentence may leave out the value of the last option.
        if collection and (said := _read(line, collection, capsys)) and _read(f"{line} x", collection, capsys):
            problems[line] = said
    assert not problems


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_within_a_sentence_exist(page: Path) -> None:
    declared = (Settings, RunnerOptions, FleetOptions)
    known = OTHERS | {long_form(name) for options in declared for name in options_of(options)}
    named = {re.split("[ =:]", span)[0] for span in spans_of(page) if span.startswith("--")}
    assert not named - known


def test_a_task_or_an_option_that_is_not_there_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    for line in ("invoke runn", "train-on-device run --cycels 3", "train-on-device emulator.start"):
        assert _read(line, PROGRAMS[line.split()[0]], capsys)
