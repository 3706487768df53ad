"""`invoke bench`, as a user types it: what it measures, never how fast."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from device_runtime.formats.options import Options as RunnerOptions
from device_runtime.formats.sample import picture
from pipeline.bench.building import PRODUCT_FLOPS
from pipeline.bench.networks import NETWORKS, choose
from pipeline.bench.results import Timing
from pipeline.bench.steps import Answers, measure_on, summary_of
from pipeline.bench.training import answers_of
from pipeline.errors import ModelError, RunFailed
from pipeline.machine.ports import free_port
from pipeline.optimizers import Optimizer
from pipeline.settings import Settings
from tests.invoking import invoke
from tests.pipeline.datasets.image_files import write_folders
from tests.pipeline.targets.saying import Saying


def test_answers_are_found_among_a_runtimes_warnings() -> None:
    assert answers_of(Saying(0, "warning: no /sys", '{"ms": 1.5}', '{"ms": 2}'), []) == [{"ms": 1.5}, {"ms": 2}]


def test_a_device_that_measures_nothing_is_named() -> None:
    with pytest.raises(RunFailed, match="measured nothing: warning"):
        answers_of(Saying(0, "warning"), [])


def test_a_device_gives_the_median_of_all_rounds_but_the_first() -> None:
    rounds = [f'{{"ms": {ms}, "peak_memory_bytes": 7, "base_memory_bytes": 5}}' for ms in (90, 2, 4, 3)]
    summary = measure_on(Saying(0, *rounds), 10**9, repeats=3, seconds=0.1)
    assert set(summary) == {1, 2}
    assert summary[1].engines == {"lowered": Timing(3.0, 1.0, 7, 5)}
    assert summary[1].bound_ms == pytest.approx(3.0 * 10**9 / PRODUCT_FLOPS)


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    # The machine was slow in the second round and in half of the third.
    rounds = {"lowered": (1.0, 10.0, 10.0), "torch-eager": (2.0, 20.0, 2.0), "product": (4.0, 40.0, 4.0)}
    answers: Answers = {
        (name, threads): [{"ms": ms, "peak_memory_bytes": 7, "base_memory_bytes": 5} for ms in rounds[name]]
        for name in rounds
        for threads in (1, 2)
    }
    summary = summary_of(answers, PRODUCT_FLOPS)[1]
    assert summary.engines["torch-eager"] == Timing(2.0, 0.5, 7, 5)
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
    assert lenet["image"] == [1, 32, 32]
    assert 20 * 2**20 < lenet["runner_base_memory_bytes"] < lenet["runner_peak_memory_bytes"] < 400 * 2**20
    for threads in lenet["threads"].values():
        engines = threads["engines"]
        assert list(engines) == ["lowered", "onnxruntime-training", "torch-eager", "torch-compile"]
        assert all(timing["ms"] or timing["unavailable"] for timing in engines.values())
        assert engines["lowered"]["peak_memory_bytes"] < engines["torch-eager"]["peak_memory_bytes"]
        assert all(t["base_memory_bytes"] < t["peak_memory_bytes"] for t in engines.values() if t["ms"])
        assert threads["bound_ms"] > 0
    assert set(record["conversion"]["images_per_s"]) == {"1", "2"}
    assert record["cache"]["images"] == 120
    assert "arithmetic bound" in run.stdout
    assert "times one pass" in run.stdout
    assert not list(build.glob(".bench.*"))


OWN = """
import torch
from pipeline.recipe import Optimizer, Preprocessing, Recipe

RECIPE = Recipe(Preprocessing(12, 12), Optimizer("sgd", (("momentum", 0.9),)), batch_size=4)

def network():
    layers = torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1)
    return torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(4, 7))
"""


def own_module(folder: Path) -> str:
    (folder / "own.py").write_text(OWN)
    return f"{folder / 'own.py'}:network"


def own_file(folder: Path) -> Path:
    """An ONNX file that takes images of 3×10×10 and gives 5 logits."""
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(300, 5))
    path = folder / "own.onnx"
    torch.onnx.export(
        model,
        (torch.zeros(2, 3, 10, 10),),
        str(path),
        dynamo=False,
        opset_version=15,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}},
    )
    return path


def test_a_module_of_ones_own_keeps_its_recipe_images_and_classes(tmp_path: Path) -> None:
    (own,) = choose(Settings(model=own_module(tmp_path)))
    assert (own.name, own.pixels, own.classes) == ("network", picture(12, 12, 1), 7)
    assert own.recipe.batch_size == 4
    assert own.recipe.optimizer.name == "sgd"
    assert own.rivals == ("onnxruntime-training", "torch-eager")


def test_options_are_for_every_network_and_ones_own_model_comes_last(tmp_path: Path) -> None:
    chosen = Settings(image_size=40, runner=RunnerOptions(batch_size=2), optimizer=Optimizer("rmsprop"), rivals=())
    settings = replace(chosen, model=own_module(tmp_path), networks=("mobilenet", "resnet18"))
    small, large, own = choose(settings)
    assert [one.name for one in (small, large, own)] == ["mobilenet", "resnet18", "network"]
    # A network that can take no other size keeps its own.
    assert [one.pixels for one in (small, large, own)] == [picture(32, 32, 3), picture(40, 40, 3), picture(40, 40, 1)]
    for one in (small, large, own):
        assert (one.recipe.batch_size, one.recipe.optimizer.name, one.rivals) == (2, "rmsprop", ())


def test_an_onnx_file_says_what_it_takes_itself(tmp_path: Path) -> None:
    (own,) = choose(Settings(model=str(own_file(tmp_path)), image_size=64))
    assert (own.pixels, own.classes) == (picture(10, 10, 3), 5)


def test_a_model_that_takes_no_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("import torch\ndef network():\n    return torch.nn.Linear(7, 3)\n")
    with pytest.raises(ModelError, match="takes images neither of 3 nor of 1 channel"):
        choose(Settings(model=f"{tmp_path / 'own.py'}:network"))


def test_nothing_named_is_what_takes_minutes_and_all_is_all() -> None:
    assert [one.name for one in choose(Settings())] == ["lenet", "mobilenet", "transformer"]
    everything = {one.name: one for one in choose(Settings(networks=("all",)))}
    assert list(everything) == list(NETWORKS)
    assert "torch-compile" in everything["lenet"].rivals
    large = everything["vit_tiny"]
    assert (large.pixels, large.recipe.batch_size, large.recipe.optimizer) == (
        picture(96, 96, 3),
        16,
        Optimizer("adam"),
    )
    assert large.rivals == ("onnxruntime-training", "torch-eager")


@pytest.mark.slow
def test_an_onnx_file_runs_without_torch_and_missing_rivals_say_how_to_come_by_them(tmp_path: Path) -> None:
    build = tmp_path / "build"
    run = invoke(
        *("bench", "--model", own_file(tmp_path), "--build", build, "--repeats", "1", "--seconds", "0.01"),
        *("--rivals", "onnxruntime-training,torch-eager,executorch,jax"),
    )
    assert run.code == 0, run.stderr
    engines = json.loads((build / "bench.json").read_text())["networks"]["own"]["threads"]["1"]["engines"]
    assert engines["lowered"]["ms"]
    assert engines["onnxruntime-training"]["ms"]
    assert "torch-eager does not run here: the model is an ONNX file" in run.stdout
    for name in ("executorch", "jax"):
        assert engines[name]["ms"] or f"pip install {name}" in engines[name]["unavailable"] or "ONNX" in run.stdout
    # Nobody asked for photographs.
    assert "photographs" not in run.stdout


WRONG = {
    "an unknown network": (["--networks", "lenet,vgg"], "no network 'vgg'; give some of lenet,mobilenet,transformer"),
    "an unknown rival": (["--rivals", "torch-eager,tensorflow"], "no rival 'tensorflow'; give some of onnxruntime-tr"),
    "no model": (["--model", "own.onnx"], "the model's file own.onnx does not exist"),
    "no size": (["--image-size", "0"], "--image-size 0: give a whole number of at least 1"),
    "an unknown optimizer": (["--optimizer", "lion"], "unknown optimizer 'lion'"),
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
