"""Arrays the whole way, as a user trains on them: windows of sensors, values, labels, a class for each word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from device_runtime.formats.dataset import load_dataset
from tests import in_torch
from tests.emulator.device import EmulatedDevice
from tests.emulator.training import losses_on
from tests.invoking import Invoked, invoke, losses
from tests.networks import of_arrays

NETWORKS = Path(str(of_arrays.__file__))
SIZES = {"motions": 400, "values": 600, "labels": 400, "tagger": 300}
STEPS = 200


def saved(name: str, folder: Path) -> Path:
    arrays: dict[str, Any] = of_arrays.data(name, SIZES[name])
    np.savez_compressed(folder / f"{name}.npz", **arrays)
    return folder / f"{name}.npz"


def run(name: str, folder: Path, *words: str) -> Invoked:
    """Trains the network of that name on its data."""
    places = ("--build", folder / "build", "--runs", folder / "runs", "--learning-rate", "0.01", "--threads", "1")
    done = invoke("run", "--model", f"{NETWORKS}:{name}", "--data", saved(name, folder), *places, *words)
    assert done.code == 0, done.stderr
    return done


def scores(done: Invoked, measure: str) -> list[float]:
    lines = (line for line in done.stdout.splitlines() if line.startswith(f"{measure} on validation data"))
    return [float(line.split(" = ")[1]) for line in lines]


def dataset(folder: Path) -> Path:
    return next((folder / "build").glob("dataset-*"))


def untrained(name: str, folder: Path) -> nn.Module:
    """The module as its training began."""
    module: nn.Module = getattr(of_arrays, name)()
    module.load_state_dict(load_file(folder / "build" / name / "export" / "state.safetensors"))
    return module


@pytest.mark.parametrize(
    ("name", "measure", "least"), [("motions", "accuracy", 0.95), ("labels", "f1", 0.9), ("tagger", "accuracy", 0.95)]
)
def test_it_learns(name: str, measure: str, least: float, tmp_path: Path) -> None:
    done = run(name, tmp_path, "--cycles", str(STEPS))
    before, after, evaluated = scores(done, measure)
    assert before < least - 0.2
    assert after == evaluated >= least
    assert f"max_{'acc' if measure == 'accuracy' else measure}=" in done.stdout
    assert (done.results / "report.html").is_file()
    report = (done.results / "report.html").read_text()
    assert measure in report and "One by one" in report
    records = [json.loads(line) for line in (done.results / "metrics.jsonl").read_text().splitlines()]
    each = [record for record in records if record["event"] == "class"]
    assert [record["name"] for record in each] == list(load_dataset(dataset(tmp_path)).classes)
    assert "f1 of each: " + ", ".join(f"{r['name']} {r['f1']:.3g}" for r in each) in done.stdout


def test_values_are_as_near_as_torchs(tmp_path: Path) -> None:
    done = run("values", tmp_path, "--cycles", str(STEPS))
    module = untrained("values", tmp_path)
    curve = in_torch.train(module, dataset(tmp_path), STEPS, 32, 0.01, functional.mse_loss)
    np.testing.assert_allclose(losses(done.results), curve, rtol=1e-3)
    after = scores(done, "r2")[-1]
    assert after > 0.8
    assert after == pytest.approx(in_torch.r2(module, dataset(tmp_path), "validation"), abs=1e-3)
    records = [json.loads(line) for line in (done.results / "metrics.jsonl").read_text().splitlines()]
    last = [record for record in records if record["event"] == "evaluation"][-1]
    assert {"r2", "mae", "rmse"} <= last.keys()
    session = ort.InferenceSession(str(done.results / "values_trained.onnx"), providers=["CPUExecutionProvider"])
    x = of_arrays.data("values", 40)["x"]
    (output,) = session.run(["output"], {"input": x})
    np.testing.assert_allclose(output, module(torch.from_numpy(x)).detach().numpy(), atol=0.02)


def test_a_loss_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("from of_arrays import motions\nfrom of_arrays import focal as LOSS\n")
    (tmp_path / "of_arrays.py").write_text(NETWORKS.read_text())
    places = ("--build", tmp_path / "build", "--runs", tmp_path / "runs", "--threads", "1")
    words = ("--model", f"{tmp_path / 'own.py'}:motions", "--data", saved("motions", tmp_path), "--cycles", "20")
    done = invoke("run", *words, *places, "--learning-rate", "0.01")
    assert done.code == 0, done.stderr
    curve = in_torch.train(untrained("motions", tmp_path), dataset(tmp_path), 20, 32, 0.01, of_arrays.focal)
    np.testing.assert_allclose(losses(done.results), curve, rtol=1e-3)


def test_several_steps_in_one_call(tmp_path: Path) -> None:
    short = ("--cycles", "20")
    plain, sunk = run("values", tmp_path, *short), run("values", tmp_path, *short, "--sink-size", "5")
    np.testing.assert_allclose(losses(sunk.results), losses(plain.results), rtol=1e-4)


@pytest.mark.parametrize("name", SIZES)
def test_a_few_steps_on_the_device(name: str, emulator: EmulatedDevice, tmp_path: Path) -> None:
    here = run(name, tmp_path, "--cycles", "5")
    made_of = ("--model", f"{NETWORKS}:{name}", "--data", tmp_path / f"{name}.npz")
    training = ("--cycles", "5", "--threads", "1", "--learning-rate", "0.01")
    there = losses_on(emulator, tmp_path / "build", made_of, training)
    np.testing.assert_allclose(there, losses(here.results), rtol=1e-4)


def test_what_arrays_have_no_use_for_is_refused(tmp_path: Path) -> None:
    done = invoke("run", "--data", saved("values", tmp_path), "--build", tmp_path / "build", "--runs", tmp_path)
    assert done.code != 0
    assert "takes grey images" in done.stderr
    done = invoke("run", "--data", tmp_path / "values.npz", "--model", "transfer", "--build", tmp_path / "build")
    assert done.code != 0
    assert "--model transfer trains on photographs, the samples of values are 8, float32" in done.stderr
