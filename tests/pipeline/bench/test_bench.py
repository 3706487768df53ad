"""`invoke bench`, as a user types it: what it measures, never how fast."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.bench.networks import PRODUCT_FLOPS
from pipeline.bench.results import Timing
from pipeline.bench.steps import Answers, measure_on, summary_of
from pipeline.bench.training import answers_of
from pipeline.errors import RunFailed
from tests.emulator.parts import free_port
from tests.invoking import invoke
from tests.pipeline.datasets.image_files import write_folders
from tests.pipeline.targets.saying import Saying


def test_answers_are_found_among_a_runtimes_warnings() -> None:
    assert answers_of(Saying(0, "warning: no /sys", '{"ms": 1.5}', '{"ms": 2}'), []) == [{"ms": 1.5}, {"ms": 2}]


def test_a_device_that_measures_nothing_is_named() -> None:
    with pytest.raises(RunFailed, match="measured nothing: warning"):
        answers_of(Saying(0, "warning"), [])


def test_a_device_gives_the_median_of_all_rounds_but_the_first() -> None:
    rounds = [f'{{"ms": {ms}, "peak_memory_bytes": 7}}' for ms in (90, 2, 4, 3)]
    summary = measure_on(Saying(0, *rounds), 10**9, repeats=3, seconds=0.1)
    assert set(summary) == {1, 2}
    assert summary[1].engines == {"lowered": Timing(3.0, 1.0, 7)}
    assert summary[1].bound_ms == pytest.approx(3.0 * 10**9 / PRODUCT_FLOPS)


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    # The machine was slow in the second round and in half of the third.
    rounds = {"lowered": (1.0, 10.0, 10.0), "torch-eager": (2.0, 20.0, 2.0), "product": (4.0, 40.0, 4.0)}
    answers: Answers = {
        (name, threads): [{"ms": ms, "peak_memory_bytes": 7} for ms in rounds[name]]
        for name in rounds
        for threads in (1, 2)
    }
    summary = summary_of(answers, PRODUCT_FLOPS)[1]
    assert summary.engines["torch-eager"] == Timing(2.0, 0.5, 7)
    assert (summary.bound_ms, summary.bound_ratio) == (4.0, 0.25)


@pytest.mark.slow
def test_it_measures_every_engine_and_what_photographs_cost(tmp_path: Path) -> None:
    build = tmp_path / "build"
    write_folders(tmp_path / "photographs", count=60)
    run = invoke(
        *("bench", "--repeats", "1", "--seconds", "0.01", "--networks", "lenet"),
        *("--data", tmp_path / "photographs", "--build", build),
    )
    assert run.code == 0, run.stderr
    record = json.loads((build / "bench.json").read_text())
    lenet = record["networks"]["lenet"]
    assert lenet["step_flops"] == 72_445_440
    assert 20 * 2**20 < lenet["runner_peak_memory_bytes"] < 400 * 2**20
    for threads in lenet["threads"].values():
        engines = threads["engines"]
        assert list(engines) == ["lowered", "onnxruntime-training", "torch-eager", "torch-compile"]
        assert all(timing["ms"] or timing["unavailable"] for timing in engines.values())
        assert engines["lowered"]["peak_memory_bytes"] < engines["torch-eager"]["peak_memory_bytes"]
        assert threads["bound_ms"] > 0
    assert set(record["conversion"]["images_per_s"]) == {"1", "2"}
    assert record["cache"]["images"] == 120
    assert "arithmetic bound" in run.stdout
    assert "times one pass" in run.stdout
    assert not list(build.glob(".bench.*"))


WRONG = {
    "an unknown network": (["--networks", "lenet,vgg"], "no network 'vgg'; give some of lenet,mobilenet,transformer"),
    "no repeats": (["--repeats", "0"], "--repeats 0: give a whole number of at least 1"),
    "no time": (["--seconds", "none"], "--seconds none: give a number above 0"),
    "an unknown target": (["--target", "mips"], "unknown target 'mips'"),
    "a missing folder": (["--data", "/no/such"], "--data /no/such: no such folder"),
    "a folder without photographs": (["--data", "tests"], "holds no photographs"),
    "photographs for a device": (["--target", "arm64", "--data", "tests"], "photographs are measured on this machine"),
}


def test_a_missing_device_is_told_before_a_network_is_built(tmp_path: Path) -> None:
    # Nothing listens there, and there is no adb that could be started.
    lacking = {"PATH": "/nonexistent", "ADBUTILS_ADB_PATH": "/nonexistent/adb"}
    environment = {"ANDROID_ADB_SERVER_PORT": str(free_port()), **lacking}
    run = invoke("bench", "--target", "arm64", "--build", tmp_path / "build", env=environment)
    assert run.code == 8
    assert run.stderr.startswith("error: the adb server could not be started")
    assert run.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_gives_one_line(name: str, tmp_path: Path) -> None:
    words, message = WRONG[name]
    run = invoke("bench", *words, "--build", tmp_path)
    assert run.code != 0
    assert message in run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
