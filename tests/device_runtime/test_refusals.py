"""What the runner says when something does not fit, and that a script evaluates what was trained last."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from device_runtime.formats.checkpoint import Checkpoint, write_checkpoint
from device_runtime.formats.model import OptimizerRecord
from tests.device_runtime.small_model import SIZE, TINY, execute, write_images, write_package
from tests.invoking import ROOT

NOTHING = np.empty(0, np.float32)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = write_package(tmp_path / "package")
    shutil.copytree(ROOT / "device_runtime", folder / "device_runtime", ignore=shutil.ignore_patterns("__pycache__"))
    for script in (ROOT / "packaging").glob("*.sh"):
        shutil.copy(script, folder)
    return folder


def start(package: Path, *options: str | Path, script: str = "train.sh") -> subprocess.CompletedProcess[str]:
    words = ["sh", str(package / script), *map(str, options)]
    env = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable}
    return subprocess.run(words, env=env, capture_output=True, text=True, timeout=60, check=False)


def refusal(package: Path, *options: str | Path) -> str:
    """The one line of a run that is refused."""
    done = start(package, *options)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_eval_takes_the_checkpoint_of_the_last_training_not_of_the_longest(package: Path) -> None:
    start(package, "-c", "30")
    trained = start(package, "-c", "20").stdout.splitlines()
    evaluated = start(package, script="eval.sh")
    assert evaluated.stdout.splitlines()[-1:] == trained[-1:]
    assert (package / "output" / "evaluation_20.jsonl").is_file()


def test_eval_without_a_training_says_to_train(package: Path) -> None:
    done = start(package, script="eval.sh")
    assert done.returncode == 1
    assert "holds no trained checkpoint: run train.sh first" in done.stderr


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("adam", "has no exp_avg and exp_avg_sq"),
        ("adamw", "was trained with adamw, this package has adam: it can be evaluated; to go on, package with --optim"),
    ],
)
def test_a_checkpoint_without_this_optimizers_state_is_evaluated_but_not_trained_on(
    package: Path, tmp_path: Path, name: str, reason: str
) -> None:
    states = TINY.optimizer.states if name == "adamw" else ()
    other = replace(TINY, optimizer=OptimizerRecord(name, {}, states))
    file = tmp_path / "other.safetensors"
    zeros = np.zeros(SIZE, np.float32)
    write_checkpoint(file, Checkpoint(9, zeros, NOTHING, dict.fromkeys(states, zeros)), other)
    assert reason in refusal(package, "-f", file, "-c", "1")
    assert start(package, "-f", file, "-c", "0").returncode == 0


@pytest.mark.parametrize("graph", ["gradient_step.onnx", "update_step.onnx", "eval_step.onnx"])
def test_a_missing_graph_is_named(package: Path, graph: str) -> None:
    (package / "model" / graph).unlink()
    assert f"{graph} does not exist" in refusal(package, "-c", "1")


@pytest.mark.parametrize("graph", ["gradient_step.onnx", "update_step.onnx", "eval_step.onnx"])
def test_a_damaged_graph_is_named(package: Path, graph: str) -> None:
    (package / "model" / graph).write_bytes(b"no graph")
    assert f"{graph} cannot be opened" in refusal(package, "-c", "1")


def test_a_full_disk_is_named_by_the_output_folder(package: Path) -> None:
    assert "/dev/full" in refusal(package, "-c", "1", "--output", "/dev/full")
    (package / "output").mkdir()
    on_a_small_disk = f"mount -t tmpfs -o size=64k tmpfs '{package}/output' && exec sh '{package}/train.sh' -c 5000"
    words = ["unshare", "--map-root-user", "--mount", "sh", "-c", on_a_small_disk]
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHON": sys.executable}
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == f"error: {package}/output: No space left on device; is the disk full or read-only?\n"


def test_too_many_threads_are_refused_before_any_is_made(package: Path) -> None:
    done = start(package, "-c", "1", "--threads", "100000")
    assert done.returncode == 2
    assert "'100000' is not at most 256 threads" in done.stderr


def test_an_output_that_nobody_reads_ends_the_run_in_silence(package: Path) -> None:
    words = f"sh '{package}/train.sh' -c 5000 --threads 1 | head -n 1"
    env = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable}
    done = subprocess.run(["sh", "-c", words], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("10:\tLoss is ")
    assert done.stderr == ""


def test_a_validation_split_without_images_is_as_none(package: Path, tmp_path: Path) -> None:
    write_images(tmp_path / "data", {"train": 5, "test": 5})
    description = tmp_path / "data" / "dataset.json"
    description.write_text(description.read_text().replace('"splits": {', '"splits": {"validation": [],'))
    assert start(package, "-d", tmp_path / "data", "-c", "1", "--threads", "1").stdout.startswith("accuracy = ")


def test_an_evaluation_describes_the_nodes_whatever_the_batch_size(package: Path) -> None:
    done = start(package, "-c", "0", "-v", "--batch-size", "1000")
    assert done.returncode == 0
    assert "Gemm node_logits" in done.stdout


def test_each_checkpoint_is_written_once(package: Path, tmp_path: Path) -> None:
    names = execute(package, tmp_path / "out", "-c", "20", "-s", "10", "--evaluate-every", "10")
    assert names == [
        "metrics.jsonl",
        "predictions_20.bin",
        "tiny_trained_10.safetensors",
        "tiny_trained_20.safetensors",
    ]
    assert (tmp_path / "out" / "metrics.jsonl").read_text().count('"event": "checkpoint"') == 2


def test_a_training_that_diverges_says_so_and_leaves_no_checkpoint(package: Path) -> None:
    told = refusal(package, "-c", "50", "--learning-rate", "1e38")
    assert "step 2: the loss is nan: training diverged; no checkpoint was saved before: give a smaller" in told
    assert not list((package / "output").glob("*.safetensors"))


def test_a_training_that_diverges_in_its_last_step_says_so(package: Path) -> None:
    told = refusal(package, "-c", "1", "--learning-rate", "1e38")
    assert "step 1: the loss on the test images is nan: training diverged; no checkpoint was saved before" in told
    records = [json.loads(line) for line in (package / "output" / "metrics.jsonl").read_text().splitlines()]
    assert records[-1]["event"] == "diverged"
    assert not list((package / "output").glob("*.safetensors"))
    assert "would again: give a smaller --learning-rate" in refusal(package, "--resume")


def test_the_last_good_checkpoint_of_a_training_that_diverges_is_named(package: Path) -> None:
    start(package, "-c", "10", "-s", "5")
    good = package / "output" / "tiny_trained_10.safetensors"
    told = refusal(package, "-f", good, "-c", "50", "--learning-rate", "1e38")
    assert "the last good checkpoint is tiny_trained_10.safetensors" in told


def test_a_training_that_goes_on_keeps_the_record_of_what_was(package: Path) -> None:
    start(package, "-c", "20")
    start(package, "-f", package / "output" / "tiny_trained_20.safetensors", "-c", "5")
    text = (package / "output" / "metrics.jsonl").read_text()
    assert text.count('"event": "step"') == 25
    start(package, "-c", "7")
    assert (package / "output" / "metrics.jsonl").read_text().count('"event": "step"') == 7
