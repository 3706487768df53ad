"""Of the unfinished trainings, the one to go on with is the target's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from device_runtime.formats.manifest import Manifest, describe, write_manifest
from device_runtime.formats.metrics import read_metrics, trained_file
from pipeline.errors import TargetError
from pipeline.results.going_on import to_bring_back
from pipeline.settings import Settings
from tests.device_runtime.interrupted import killed_after
from tests.device_runtime.small_model import execute, write_package
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


def test_the_checkpoint_that_was_best_comes_along(tmp_path: Path) -> None:
    package = write_package(tmp_path / "package")
    write_manifest(package, Manifest("x86", "tiny", describe(package), {}))
    words = ("-c", "60", "--learning-rate", "0.3", "--evaluate-every", "5", "--best")
    execute(package, tmp_path / "whole", *words)
    accuracies = {r["step"]: r["accuracy"] for r in read_metrics(tmp_path / "whole") if r["event"] == "evaluation"}
    best = max(accuracies, key=lambda step: (accuracies[step], -step))
    assert best < 50
    runs = tmp_path / "runs" / "20261127-061020-tiny-x86"
    killed_after(tmp_path / "whole", runs, 50, 2)
    brought = to_bring_back(Settings("x86", runs=tmp_path / "runs"), package)
    assert [file.name for file in brought] == ["metrics.jsonl", *(f"tiny_trained_{n}.safetensors" for n in (50, best))]
    for file in brought:
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        shutil.copy(file, tmp_path / "elsewhere")
    execute(package, tmp_path / "elsewhere", "--resume")
    assert trained_file(read_metrics(tmp_path / "elsewhere")) == f"tiny_trained_{best}.safetensors"
