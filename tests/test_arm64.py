"""`invoke run --target arm64` against the emulated device: a real adb server, a real adbd, real arm64 binaries."""

from __future__ import annotations

import gzip
import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from device_runtime.formats.dataset import load_dataset
from pipeline.datasets.layouts.idx import find_files
from pipeline.machine.facts import read_facts
from pipeline.packing.abi import ARM64
from pipeline.results.records.results import read_results
from pipeline.targets.device import connect
from tests.emulator.device import EmulatedDevice, Hardware, emulated_device
from tests.in_torch import lenet_accuracy
from tests.invoking import Invoked, invoke, losses

pytestmark = [pytest.mark.emulator, pytest.mark.slow]

CYCLES = 60
ROOT = "/data/local/tmp/train-on-device/package-arm64"


@dataclass(frozen=True)
class First:
    """The first run on the device."""

    run: Invoked
    build: Path
    data: Path


@pytest.fixture(scope="module")
def data(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first images of real MNIST: emulated, all 10,000 test images would take minutes."""
    folder = tmp_path_factory.mktemp("mnist")
    for file, count in zip(find_files(shared_data / "mnist"), (2000, 2000, 300, 300), strict=True):
        content = gzip.decompress(file.read_bytes())
        is_images = "images" in file.name
        header, size = (16, 784) if is_images else (8, 1)
        head = content[:4] + struct.pack(">I", count) + content[8:header]
        (folder / file.name.removesuffix(".gz")).write_bytes(head + content[header : header + count * size])
    return folder


@pytest.fixture(scope="module")
def first(emulator: EmulatedDevice, data: Path, tmp_path_factory: pytest.TempPathFactory) -> First:
    """A run of the whole process, on a device that is clean before it."""
    assert emulator.shell("ls /data/local/tmp") == ""
    build = tmp_path_factory.mktemp("build-arm64")
    run = invoke(
        *("run", "--target", "arm64", "--data", data, "--cycles", str(CYCLES), "--learning-rate", "0.003"),
        *("--build", build, "--runs", build / "runs"),
        env=emulator.env,
    )
    assert run.code == 0, run.stderr
    return First(run, build, data)


def nothing(done: int, total: int) -> None:
    """Takes progress and does nothing."""


def test_the_device_has_no_python_and_no_glibc_of_its_own(emulator: EmulatedDevice) -> None:
    found = emulator.shell(
        "find / -path /proc -prune -o -path /data -prune -o -name 'python*' -print 2>/dev/null || true"
    )
    assert found == ""
    assert emulator.shell("ls /lib /lib64 /usr/lib 2>/dev/null || true") == ""


def test_it_trains_on_the_device(first: First) -> None:
    untrained, trained, evaluated = first.run.accuracies
    assert 0.03 <= untrained <= 0.2
    assert trained == evaluated
    assert trained > 0.3
    curve = losses(first.run.results)
    assert len(curve) == CYCLES
    assert np.mean(curve[-5:]) < np.mean(curve[:5]) - 0.5
    assert (first.run.results / f"lenet_trained_{CYCLES}.safetensors").is_file()
    assert (first.run.results / "lenet_trained.onnx").is_file()


def test_the_report_tells_of_the_device_and_of_what_it_predicted(first: First, emulator: EmulatedDevice) -> None:
    facts = read_facts(first.run.results)
    assert facts is not None
    assert facts.model == "train-on-device emulator"
    assert facts.system.startswith("Android 8.0.0 (API 26)")
    assert (facts.abi, facts.serial) == ("arm64-v8a", emulator.serial)
    assert facts.memory_bytes
    results = read_results(first.run.results)
    assert results.predicted is not None, results.unpredicted
    predictions = results.predicted.predictions
    assert 1 - len(predictions.wrong()) / len(predictions.labels) == pytest.approx(first.run.accuracies[-1], abs=1e-5)
    names = {path.stem for path in first.run.results.glob("*.png")}
    assert names >= {"loss", "accuracy", "confusion", "wrong_images"}


@pytest.mark.parametrize(
    "hardware",
    # The oldest has no dot products and no atomics of ARMv8.1; the newest has scalable vectors.
    [Hardware(android=10, cpu="cortex-a53"), Hardware(android=14, cpu="max")],
    ids=["the oldest", "the newest"],
)
def test_other_androids_on_other_processors_train_alike(
    hardware: Hardware, first: First, emulator: EmulatedDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(emulator.adb_server_port))
    with emulated_device(hardware, beside=emulator) as device:
        target = connect(device.serial, ARM64)
        target.push(first.build / "package-arm64", nothing)
        assert target.run("train.sh", ["-c", "3", "--learning-rate", "0.003"], lambda line: None) == 0
        target.pull(tmp_path)
    np.testing.assert_allclose(losses(tmp_path), losses(first.run.results)[:3], rtol=1e-4)


def test_the_peak_memory_of_the_training_is_recorded(first: First) -> None:
    end = json.loads((first.run.results / "metrics.jsonl").read_text().splitlines()[-1])
    assert 20 * 2**20 < end["peak_memory_bytes"] < 400 * 2**20


def test_x86_gives_the_same_losses_and_the_same_accuracy(first: First, tmp_path: Path) -> None:
    here = invoke(
        *("run", "--target", "x86", "--data", first.data, "--cycles", "20", "--learning-rate", "0.003"),
        *("--build", first.build, "--runs", tmp_path),
    )
    assert here.code == 0, here.stderr
    np.testing.assert_allclose(losses(first.run.results)[:20], losses(here.results), rtol=1e-4)
    checkpoint = first.run.results / f"lenet_trained_{CYCLES}.safetensors"
    evaluated = invoke("eval", "--checkpoint", checkpoint, "--build", first.build)
    assert evaluated.accuracies == [first.run.accuracies[-1]]


def test_the_trained_model_answers_on_the_device_as_its_evaluation_did(
    first: First, emulator: EmulatedDevice, tmp_path: Path
) -> None:
    split = load_dataset(first.build / "package-arm64" / "dataset").splits["test"]
    pixels, labels = split.batch(np.arange(len(split)))
    for number, (image, label) in enumerate(zip(pixels[..., 0], labels.tolist(), strict=True)):
        (tmp_path / str(label)).mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / str(label) / f"{number}.png")
    options = ("--run", first.run.results, "--target", "arm64", "--build", first.build)
    said = invoke("infer", tmp_path, "--json", *options, env=emulator.env)
    assert said.code == 0, said.stderr
    answered = json.loads(said.stdout)
    right = [image["class"] == Path(image["file"]).parent.name for image in answered["images"]]
    assert float(f"{np.mean(right):.6g}") == first.run.accuracies[-1]
    assert answered["latency"]["machine"].startswith("aarch64, ")
    # The runtime stays for the next time, and what was trained is still there.
    inference = "/data/local/tmp/train-on-device/inference-arm64"
    assert "output" not in emulator.shell(f"ls {inference}").split()
    assert f"lenet_trained_{CYCLES}.safetensors" in emulator.shell(f"ls {ROOT}/output")


def test_the_state_dict_gives_the_devices_accuracy_in_torch(first: First) -> None:
    dataset, state = next(first.build.glob("dataset-*")), first.run.results / "lenet_state_dict.safetensors"
    assert lenet_accuracy(state, dataset) == pytest.approx(first.run.accuracies[-1], abs=5e-4)


def test_a_device_of_32_bits_is_refused(first: First, emulator: EmulatedDevice) -> None:
    with emulated_device(Hardware(abi="armeabi-v7a"), beside=emulator) as device:
        refused = invoke("run", "--target", "arm64", "--data", first.data, "--build", first.build, env=device.env)
        assert refused.code == 8
        assert "is armeabi-v7a, not arm64-v8a" in refused.stderr.splitlines()[-1]
        assert "Traceback" not in refused.stderr
        assert device.shell("ls -A /data/local/tmp") == ""
