"""This machine as the target."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import TargetError
from pipeline.targets.local import LocalTarget
from tests.pipeline.targets.stand_in import content_of, make_package

TRAIN = (
    'here=$(dirname "$0"); mkdir -p "$here/output"; echo w >"$here/output/w"; echo "$PYTHON|$1"; echo e >&2; exit 3\n'
)


@pytest.fixture
def target(tmp_path: Path) -> LocalTarget:
    return LocalTarget(make_package(tmp_path / "a package", {"train.sh": TRAIN}))


def test_another_machine_is_sent_to_a_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    with pytest.raises(TargetError, match="this machine is arm64, not x86-64: use --target arm64"):
        LocalTarget(tmp_path)


def test_a_script_runs_in_place_with_this_interpreter(target: LocalTarget, tmp_path: Path) -> None:
    lines: list[str] = []
    assert target.push(tmp_path / "a package", lambda done, total: None) == 0
    assert target.run("train.sh", ["a b"], lines.append) == 3
    assert lines[0].endswith("|a b")
    assert lines[1:] == ["e"]


def test_a_script_gives_way_to_others_where_it_is_asked_to(tmp_path: Path) -> None:
    target = LocalTarget(make_package(tmp_path, {"train.sh": "nice\n"}))
    before, after = list[str](), list[str]()
    target.run("train.sh", [], before.append)
    target.niceness = 3
    target.run("train.sh", [], after.append)
    assert int(after[0]) == min(19, int(before[0]) + 3)


def test_results_are_pulled_until_they_are_cleared(target: LocalTarget, tmp_path: Path) -> None:
    assert target.pull(tmp_path / "results") == []
    target.run("train.sh", [], lambda line: None)
    assert target.pull(tmp_path / "results") == [tmp_path / "results" / "w"]
    assert content_of(tmp_path / "results") == {"w": b"w\n"}
    target.clear_output()
    assert target.pull(tmp_path / "others") == []
