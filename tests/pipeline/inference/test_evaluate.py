"""`invoke eval --run`, as a user types it, on this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.invoking import ROOT, invoke
from tests.pipeline.inference.conftest import Finished

pytestmark = pytest.mark.slow

SAMPLE = ROOT / "pipeline" / "datasets" / "sample"


def test_pictures_and_idx_files_give_the_accuracy_of_the_runs_own_evaluation(finished: Finished) -> None:
    for data in (SAMPLE, finished.pictures):
        run = invoke("eval", "--run", finished.results, "--data", data, "--build", finished.build)
        assert run.code == 0, run.stderr
        assert run.accuracies == [finished.accuracy]
        assert run.stdout.splitlines()[0] == "images = 1000"


def test_classes_are_met_by_name_and_unknown_ones_are_left_out(finished: Finished, tmp_path: Path) -> None:
    # In an order of their own, and neither all nor only the run's.
    for name in ("9", "2"):
        shutil.copytree(finished.pictures / name, tmp_path / "in" / name)
    shutil.copytree(finished.pictures / "3", tmp_path / "in" / "three")
    (tmp_path / "in" / "2" / "broken.png").write_text("nothing")
    run = invoke("eval", "--run", finished.results.name, "--data", tmp_path / "in", "--verbose", *finished.folders)
    assert run.code == 0, run.stderr
    assert "warning: classes that the run does not know, left out: three" in run.stderr
    assert "warning: left out: cannot be read 1 (2/broken.png is no JPEG" in run.stderr
    heading, two, nine, images, _ = run.stdout.splitlines()
    assert heading.split() == ["class", "images", "right", "accuracy"]
    assert [row.split()[:2] for row in (two, nine)] == [["2", "100"], ["9", "100"]]
    right = [int(row.split()[2]) for row in (two, nine)]
    assert images == "images = 200"
    assert run.accuracies == [float(f"{sum(right) / 200:.6g}")]


def test_a_single_class_can_be_evaluated(finished: Finished, tmp_path: Path) -> None:
    shutil.copytree(finished.pictures / "1", tmp_path / "in" / "1")
    run = invoke("eval", "--run", finished.results, "--data", tmp_path / "in", "--build", finished.build)
    assert run.code == 0, run.stderr
    assert run.stdout.splitlines()[0] == "images = 100"


def test_of_data_with_a_test_split_that_is_evaluated(finished: Finished, tmp_path: Path) -> None:
    for split, name in (("train", "0"), ("train", "1"), ("test", "1")):
        shutil.copytree(finished.pictures / name, tmp_path / "in" / split / name)
    run = invoke("eval", "--run", finished.results, "--data", tmp_path / "in", "--build", finished.build)
    assert run.code == 0, run.stderr
    assert run.stdout.splitlines()[0] == "images = 100"


def test_what_cannot_be_meant_is_told_in_a_line(finished: Finished, tmp_path: Path) -> None:
    shutil.copytree(finished.pictures / "3", tmp_path / "other" / "three")
    cases: list[tuple[tuple[str | Path, ...], str]] = [
        (("--run", finished.results), "--run evaluates a finished run on other data: give its folder with --data"),
        (("--data", SAMPLE), "--data is for a finished run: name it with --run"),
        (("--verbose",), "--verbose is for a finished run: name it with --run"),
        (("--run", "x", "--data", SAMPLE, "--engine", "reference"), "leave out --engine"),
        (("--run", "x", "--data", SAMPLE, "--checkpoint", "x"), "leave out --checkpoint"),
        (("--run", "x", "--data", SAMPLE), "x: neither that nor"),
        (("--run", finished.results, "--data", tmp_path / "no"), "no does not exist: give --data"),
        (("--run", finished.results, "--data", tmp_path / "other"), "none of the run's classes: it has three, the run"),
    ]
    for words, message in cases:
        run = invoke("eval", *words, "--build", finished.build)
        assert run.code in (2, 4)
        assert message in run.stderr.splitlines()[-1]
        assert "Traceback" not in run.stderr
