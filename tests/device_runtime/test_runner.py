"""The runner on a real package: going on from a checkpoint, stopping early, refusing what does not fit."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from device_runtime.batches import Batches
from device_runtime.schedules import learning_rate_at
from tests.invoking import ROOT, invoke

pytestmark = pytest.mark.slow


def runner(
    package: Path, output: Path, *options: str | Path, script: str = "train.sh"
) -> subprocess.CompletedProcess[str]:
    words = ["sh", str(package / script), "--output", str(output), *map(str, options)]
    env = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable}
    return subprocess.run(words, env=env, capture_output=True, text=True, timeout=300, check=False)


def records(output: Path, event: str) -> list[dict[str, float]]:
    lines = (output / "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["event"] == event]


def test_going_on_from_a_checkpoint_is_as_if_nothing_had_been(package: Path, tmp_path: Path) -> None:
    assert runner(package, tmp_path / "whole", "-c", "60", "--seed", "7", "-s", "25").returncode == 0
    middle = tmp_path / "whole" / "lenet_trained_25.safetensors"
    assert runner(package, tmp_path / "rest", "-f", middle, "-c", "35").returncode == 0
    whole = load_file(tmp_path / "whole" / "lenet_trained_60.safetensors")
    rest = load_file(tmp_path / "rest" / "lenet_trained_60.safetensors")
    assert whole.keys() == rest.keys()
    assert all(np.array_equal(whole[name], rest[name]) for name in whole)


def test_sinking_changes_nothing_but_the_calls(package: Path, tmp_path: Path) -> None:
    words = ("-c", "230", "-s", "50")
    single = runner(package, tmp_path / "single", *words)
    sunk = runner(package, tmp_path / "sunk", *words, "--sink-size", "16")
    assert sunk.returncode == 0, sunk.stderr
    assert sunk.stdout == single.stdout
    losses = [[record["loss"] for record in records(tmp_path / name, "step")] for name in ("sunk", "single")]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    names = [sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("sunk", "single")]
    assert names[0] == names[1]


def test_sinking_and_accumulating_at_once_is_refused(package: Path, tmp_path: Path) -> None:
    done = runner(package, tmp_path, "--accumulate", "2", "--sink-size", "2")
    assert done.returncode == 2
    assert done.stderr == "error: give --accumulate or --sink-size, not both\n"


def test_epochs_print_a_line_each(package: Path, tmp_path: Path) -> None:
    done = runner(package, tmp_path, "--epochs", "2", "--batch-size", "250", "--threads", "1")
    lines = [line for line in done.stdout.splitlines() if line.startswith("epoch ")]
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1: Loss is ")
    assert " accuracy = " in lines[1]
    assert " time = " in lines[1]
    assert len(records(tmp_path, "step")) == 2 * (5000 // 250)


def test_it_stops_at_the_target_accuracy(package: Path, tmp_path: Path) -> None:
    assert runner(package, tmp_path, "-c", "2000", "--target-accuracy", "0.7").returncode == 0
    assert records(tmp_path, "end")[0]["step"] < 1000
    assert records(tmp_path, "evaluation")[-1]["accuracy"] >= 0.7


def test_training_takes_little_memory(package: Path, tmp_path: Path) -> None:
    assert runner(package, tmp_path, "-c", "100").returncode == 0
    assert 30 * 2**20 < records(tmp_path, "end")[0]["peak_memory_bytes"] <= 120 * 2**20


def test_every_test_image_is_evaluated(package: Path, tmp_path: Path) -> None:
    assert runner(package, tmp_path, "-c", "1", "--batch-size", "300").returncode == 0
    assert records(tmp_path, "evaluation")[-1]["images"] == 1000


def test_a_report_every_hundred_cycles_reads_as_the_originals(package: Path, tmp_path: Path) -> None:
    done = runner(package, tmp_path, "-c", "200", "--threads", "1")
    first = done.stdout.splitlines()[0]
    words = first.replace("=", " ").replace("[", " ").replace("]", " ").split()
    assert first.startswith("100:\tLoss is ")
    assert words[4] == "min"
    assert words[6] == "max_acc"
    assert float(words[3]) >= float(words[5])


def test_a_terminated_training_leaves_nothing_half_written(package: Path, tmp_path: Path) -> None:
    words = ["sh", str(package / "train.sh"), "--output", str(tmp_path), "-c", "100000", "-s", "1"]
    process = subprocess.Popen(words, env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable}, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("*.safetensors"))) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 143
    assert b"Traceback" not in stderr
    assert all(load_file(file) for file in tmp_path.glob("*.safetensors"))
    assert not list(tmp_path.glob(".*"))


SIGNAL_WHILE_NUMPY_LOADS = """
import os, signal, sys

class Signal:
    def find_spec(self, name, path=None, target=None):
        if name == "datetime" and "numpy" in sys.modules:
            os.kill(os.getpid(), signal.{signal})

sys.meta_path.insert(0, Signal())
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_runner_that_is_ended_while_it_loads_dies_by_the_signal(tmp_path: Path, name: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(SIGNAL_WHILE_NUMPY_LOADS.replace("{signal}", name))
    words = [sys.executable, "-m", "device_runtime", "--help"]
    done = subprocess.run(words, env={"PYTHONPATH": f"{ROOT}:{tmp_path}"}, capture_output=True, text=True, check=False)
    assert done.returncode == -getattr(signal, name)
    assert done.stderr == ""


def test_a_checkpoint_of_another_model_is_refused(package: Path, tmp_path: Path) -> None:
    metadata = {"format": "2", "model": "other", "digest": "0", "step": "1", "seed": "1", "optimizer": "adam"}
    save_file({"weight": np.zeros(3, np.float32)}, tmp_path / "other.safetensors", metadata)
    done = runner(package, tmp_path, "-f", tmp_path / "other.safetensors", "-c", "1")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "is a checkpoint of another model (other); this package holds lenet" in done.stderr


def test_a_file_that_is_no_checkpoint_is_refused(package: Path, tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("hello")
    done = runner(package, tmp_path, "-f", tmp_path / "text.safetensors", "-c", "1")
    assert done.returncode == 1
    assert "text.safetensors is not a whole checkpoint" in done.stderr


def test_a_damaged_package_is_refused(package: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("output"))
    (copy / "model" / "train_step.onnx").write_bytes(b"short")
    done = runner(copy, tmp_path / "out", "-c", "1")
    assert done.returncode == 1
    assert "does not match its manifest: model/train_step.onnx" in done.stderr


def test_cycles_and_epochs_exclude_each_other(package: Path, tmp_path: Path) -> None:
    done = runner(package, tmp_path, "-c", "1", "--epochs", "1")
    assert done.returncode == 2
    assert "give --cycles or --epochs, not both" in done.stderr


def test_four_accumulated_batches_equal_one_four_times_as_large(package: Path, tmp_path: Path) -> None:
    words = ("-c", "20", "--augment", "flip,crop")
    assert runner(package, tmp_path / "large", *words, "--batch-size", "32").returncode == 0
    assert runner(package, tmp_path / "small", *words, "--batch-size", "8", "--accumulate", "4").returncode == 0
    large, small = (load_file(tmp_path / name / "lenet_trained_20.safetensors") for name in ("large", "small"))
    for name, expected in large.items():
        np.testing.assert_allclose(small[name], expected, atol=1e-5, err_msg=name)
    losses = [[record["loss"] for record in records(tmp_path / name, "step")] for name in ("large", "small")]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_a_package_without_the_reference_says_how_it_is_made(package: Path, tmp_path: Path) -> None:
    done = runner(package, tmp_path, "-c", "1", "--engine", "reference")
    assert done.returncode != 0
    assert "`invoke package --engine reference` makes it with them" in done.stderr


def test_the_engines_agree_on_augmented_images(tmp_path: Path) -> None:
    made = invoke("package", "--engine", "reference", "--build", tmp_path / "build")
    assert made.code == 0, made.stderr
    package = tmp_path / "build" / "package-x86"
    for engine in ("lowered", "reference"):
        words = ("-c", "20", "--augment", "flip,crop", "--engine", engine)
        assert runner(package, tmp_path / engine, *words).returncode == 0
    losses = [[record["loss"] for record in records(tmp_path / name, "step")] for name in ("lowered", "reference")]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_each_image_is_seen_once_an_epoch() -> None:
    batches = Batches(100, 10, seed=5)
    first = np.concatenate([batches.indices(step) for step in range(1, 11)])
    second = np.concatenate([batches.indices(step) for step in range(11, 21)])
    assert sorted(first) == sorted(second) == list(range(100))
    assert list(first) != list(second)


@pytest.mark.parametrize(
    ("schedule", "step", "rate"),
    [
        ("constant", 90, 1.0),
        ("step", 30, 1.0),
        ("step", 50, 0.1),
        ("step", 90, 0.01),
        ("cosine", 1, 1.0),
        ("cosine", 51, 0.5),
    ],
)
def test_schedules(schedule: str, step: int, rate: float) -> None:
    given = learning_rate_at(step, base=1.0, schedule=schedule, cycles=100, warmup=0)
    assert given == pytest.approx(rate)


def test_the_warm_up_rises_linearly() -> None:
    rates = [learning_rate_at(step, base=1.0, schedule="constant", cycles=100, warmup=4) for step in range(1, 7)]
    assert rates == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
