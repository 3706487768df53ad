"""What `invoke doctor --target web` says of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.doctor.browsers import examine
from pipeline.doctor.doctor import examine as examine_all
from pipeline.doctor.finding import State
from pipeline.settings import Settings


def test_without_npm_a_run_can_start_only_with_a_runtime_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    [npm, _] = examine(tmp_path / "runtime-web")
    assert (npm.state, npm.mend) == (State.FIX, "apt install nodejs npm")
    (tmp_path / "runtime-web").mkdir()
    [npm, _] = examine(tmp_path / "runtime-web")
    assert npm.state is State.NOTE


def test_npm_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "npm"
    program.write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    [npm, _] = examine(tmp_path / "runtime-web")
    assert (npm.state, npm.said) == (State.FIX, "npm does not start: broken")


def test_a_run_in_a_browser_asks_for_no_device_and_none_of_debians_packages(tmp_path: Path) -> None:
    sections = list(examine_all(Settings("web", build=tmp_path / "build", runs=tmp_path / "runs")))
    assert [section.title for section in sections] == ["Python", "this machine"]
    said = [finding.said for finding in sections[1].findings]
    assert any("browser" in line for line in said)
