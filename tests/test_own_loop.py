"""`--loop`, as a user types it: on this machine compared with torch, and on emulated devices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from device_runtime.formats.dataset import load_dataset
from device_runtime.formats.metrics import read_metrics
from pipeline.sources.models import lenet
from tests.emulator.device import EmulatedDevice
from tests.invoking import ROOT, invoke, losses

pytestmark = pytest.mark.slow

REPTILE, EARLY_STOPPING = (ROOT / "examples" / "loops" / name for name in ("reptile.py", "early_stopping.py"))
STEPS = 20


def reptile_in_torch(dataset: Path, seed: int = 1) -> list[float]:
    """The first losses of Reptile on LeNet, all in torch: five steps on five of the classes, then half the way back."""
    torch.manual_seed(seed)
    module, recipe = lenet.build(10).train(), lenet.RECIPE
    optimizer = torch.optim.Adam(module.parameters(), recipe.learning_rate)
    train, found = load_dataset(dataset).splits["train"], list[float]()
    order = np.random.default_rng([seed, 0]).permutation(len(train))
    for step in range(0, STEPS, 5):
        random = np.random.default_rng([seed, step])
        pixels, labels = train.batch(order[step * recipe.batch_size : (step + 5) * recipe.batch_size])
        of_task = np.flatnonzero(np.isin(labels, random.permutation(np.unique(labels))[:5]))
        start = [parameter.detach().clone() for parameter in module.parameters()]
        for _ in range(5):
            chosen = random.choice(of_task, recipe.batch_size)
            loss = torch.nn.functional.cross_entropy(module(prepared(pixels[chosen])), torch.from_numpy(labels[chosen]))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            found.append(loss.item())
        with torch.no_grad():
            for parameter, before in zip(module.parameters(), start, strict=True):
                parameter.copy_(before + 0.5 * (parameter - before))
    return found


def prepared(pixels: np.ndarray) -> torch.Tensor:
    size = lenet.RECIPE.preprocessing
    image = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() * size.scale
    resized = torch.nn.functional.interpolate(image, (size.height, size.width), mode="bilinear")
    return (resized - size.mean[0]) / size.std[0]


def test_reptile_learns_as_in_torch(tmp_path: Path) -> None:
    own = tmp_path / "build"
    run = invoke("run", "--target", "x86", "--loop", REPTILE, "--cycles", "600", "--build", own, "--runs", tmp_path)
    assert run.code == 0, run.stderr
    wanted = reptile_in_torch(next(own.glob("dataset-*")))
    np.testing.assert_allclose(losses(run.results)[:STEPS], wanted, rtol=0, atol=1e-3)
    assert max(wanted) - min(wanted) > 0.05
    # What comes after a loop is as ever.
    untrained, trained, evaluated = run.accuracies
    assert untrained < 0.3 < 0.6 < trained == evaluated
    assert "100: loss from " in (run.results / "log").read_text()
    assert "reptile.py" in (run.results / "report.html").read_text()
    assert (run.results / "lenet_trained.onnx").is_file()
    assert (run.results / "predictions_600.bin").is_file()


def test_a_loop_that_fails_ends_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def loop(run):\n    run.train(run.batch())\n    return run.nothing\n")
    folders = ("--build", tmp_path / "build", "--runs", tmp_path / "runs")
    run = invoke("run", "--loop", tmp_path / "own.py", "--cycles", "5", *folders)
    assert run.code not in (0, 1)
    said = run.stderr.splitlines()[-1]
    assert "own.py, line 3: AttributeError: 'TrainingRun' object has no attribute 'nothing'" in said
    assert "Traceback" not in run.stdout + run.stderr


@pytest.mark.emulator
def test_on_an_arm64_device_it_is_the_same_loop(
    emulator: EmulatedDevice, made_of: tuple[str, ...], tmp_path: Path
) -> None:
    words: tuple[str | Path, ...] = (*made_of, "--loop", REPTILE, "--cycles", "10", "--threads", "1")
    folders = ("--build", tmp_path / "build", "--runs", tmp_path / "runs")
    here = invoke("run", "--target", "x86", *words, *folders)
    assert here.code == 0, here.stderr
    device = invoke("run", "--target", "arm64", *words, *folders, env=emulator.env)
    assert device.code == 0, device.stderr
    np.testing.assert_allclose(losses(device.results), losses(here.results), rtol=1e-4)
    assert len(losses(device.results)) == 10


@pytest.mark.emulator
def test_on_an_x86_64_device_it_stops_early_and_fails_with_its_place(
    x86_device: EmulatedDevice, made_of: tuple[str, ...], tmp_path: Path
) -> None:
    options: tuple[str | Path, ...] = (
        "--target",
        "x86",
        "--serial",
        x86_device.serial,
        *made_of,
        "--build",
        tmp_path / "build",
    )
    words = ("--loop", EARLY_STOPPING, "--cycles", "3000", "--learning-rate", "0.01", "--best")
    run = invoke("run", *options, *words, "--runs", tmp_path, env=x86_device.env)
    assert run.code == 0, run.stderr
    records = read_metrics(run.results)
    evaluations = [r["accuracy"] for r in records if r["event"] == "evaluation"]
    assert records[-1]["step"] < 3000
    assert evaluations[-1] == max(evaluations)
    (tmp_path / "own.py").write_text("import numpy as np\n\n\ndef loop(run):\n    np.linalg.inv(np.eye(2))\n")
    failed = invoke("run", *options, "--loop", tmp_path / "own.py", "--runs", tmp_path, env=x86_device.env)
    assert failed.code != 0
    assert "own.py, line 5: AttributeError: numpy.linalg needs inv of LAPACK" in failed.stderr.splitlines()[-1]
