"""Of the unfinished trainings, the one to go on with is the target's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import TargetError
from pipeline.results.going_on import to_bring_back
from pipeline.settings import Settings
from tests.pipeline.targets.stand_in import make_package

BEGUN = (
    '{"event": "start", "model": "lenet", "run": "0a", "package": "another", "engine": "lowered", "file": "", '
    '"time": 1, "first": 1, "last": 2}\n'
)


@pytest.mark.parametrize("name", ["20261127-061020-lenet-x86-device", "20261127-061020-lenet-x86-device-2"])
def test_a_device_of_this_machines_abi_has_results_of_its_own(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "metrics.jsonl").write_text(BEGUN)
    package = make_package(tmp_path / "package", {"train.sh": ""})
    with pytest.raises(TargetError, match="no training to go on with, neither on x86 nor in"):
        to_bring_back(Settings("x86", runs=tmp_path), package)
    with pytest.raises(TargetError, match=f"the training in .*{name} was started with another model"):
        to_bring_back(Settings("x86", serial="emulator-5554", runs=tmp_path), package)
