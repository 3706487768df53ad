"""The workflows and scripts of CI: what `invoke lint` finds in them, and whose code they run."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.invoking import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
WORKFLOW = """\
on: push
jobs:
  job:
    runs-on: ubuntu-24.04
    steps:
      - {step}
"""
TOOLS = Path(sysconfig.get_path("scripts"))


def actionlint(workflow: Path) -> str:
    """What it finds, as `invoke lint` calls it."""
    command: list[str | Path] = [TOOLS / "actionlint", "-shellcheck", TOOLS / "shellcheck", workflow]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize(
    "step",
    [
        "run: echo ${{ github.event.pull_request.title }}",
        "run: echo ${{ github.evnt }}",
        "run: cd $FOLDER; echo $(ls)",
        "{uses: actions/checkout@v4, with: {patch: here}}",
        "{run: echo, shel: bash}",
    ],
)
def test_a_fault_in_a_workflow_is_found(step: str, tmp_path: Path) -> None:
    workflow = tmp_path / "workflow.yml"
    workflow.write_text(WORKFLOW.format(step=step))
    assert workflow.name in actionlint(workflow)


def test_a_workflow_without_a_fault_passes(tmp_path: Path) -> None:
    workflow = tmp_path / "workflow.yml"
    workflow.write_text(WORKFLOW.format(step='run: ls "$HOME"'))
    assert actionlint(workflow) == ""


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_their_commit_and_its_version_is_said(path: Path) -> None:
    used = re.findall(r"uses: *(.+)", path.read_text())
    assert used
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action) for action in used), used


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_read_the_repository_and_no_more_and_every_job_ends(path: Path) -> None:
    text = path.read_text()
    assert "\npermissions:\n  contents: read\n\n" in text
    assert len(re.findall(r"^    timeout-minutes: \d+$", text, re.MULTILINE)) == text.count("    runs-on: ")
