"""What the tasks say to a wrong option before they begin, and their help."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.invoking import invoke

WRONG = {
    "cycles": (["run", "--cycles", "many"], "--cycles many: give a whole number of at least 0"),
    "no cycles": (["run", "--cycles", "0"], "--cycles 0 trains nothing"),
    "cycles and epochs": (["run", "--cycles", "1", "--epochs", "1"], "give --cycles or --epochs, not both"),
    "learning rate": (["run", "--learning-rate", "nan"], "--learning-rate nan: give a learning rate"),
    "schedule": (["run", "--schedule", "zigzag"], "--schedule zigzag: give constant, step or cosine"),
    "augment": (["train", "--augment", "rotate"], "--augment rotate: give flip, crop, of sound"),
    "threads": (["eval", "--threads", "0"], "--threads 0: give a whole number of at least 1"),
    "engine": (["run", "--engine", "own"], "--engine own: give lowered or reference"),
    "reference on a device": (["run", "--target", "arm64", "--engine", "reference"], "does not run on arm64"),
    "reference on an x86 device": (["run", "--serial", "R5", "--engine", "reference"], "or leave out --serial"),
    "reference and sink": (["run", "--engine", "reference", "--sink-size", "2"], "takes neither --accumulate nor"),
    "reference and optimizer": (["run", "--engine", "reference", "--optimizer", "rmsprop"], "training has no rmsprop"),
    "a seed beyond 64 bits": (["run", "--seed", "9223372036854775808"], "at most 9223372036854775807"),
    "checkpoint": (["eval", "--checkpoint", "no.safetensors"], "the checkpoint no.safetensors does not exist"),
    "a folder of other bytes": (["run", "--runs", os.fsdecode(b"caf\xe9")], "that name is not UTF-8, which libraries"),
    "checkpoint on a device": (["train", "--target", "arm64", "--checkpoint", "a/b"], "give the name of a file in the"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_option_is_one_line_before_anything_is_built(name: str, tmp_path: Path) -> None:
    words, message = WRONG[name]
    run = invoke(*words, "--build", tmp_path / "build")
    assert run.code == 2
    assert run.stderr.startswith("error: ")
    assert message in run.stderr
    assert run.stderr.count("\n") == 1
    assert run.stdout == ""
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_looked_for_is_one_line(tmp_path: Path) -> None:
    name = "a" * 300
    for words in (("run", "--data", name), ("export", "--model", f"{name}.onnx"), ("train", "--checkpoint", name)):
        run = invoke(*words, "--build", tmp_path / "build")
        assert run.code == 1
        assert run.stderr.startswith(f"error: {name}")
        assert run.stderr.endswith(": File name too long\n")
        assert run.stderr.count("\n") == 1


BATCH_NORM = """
from torch import nn
from pipeline.recipe import Optimizer, Preprocessing, Recipe

RECIPE = Recipe(Preprocessing(28, 28), Optimizer("sgd", (("momentum", 0.9),)))

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(784)
        self.first, self.head = nn.Linear(784, 20), nn.Linear(20, 10)

    def forward(self, image):
        return self.head(self.first(self.norm(image.flatten(1))).relu())
"""


@pytest.mark.parametrize(
    ("options", "message", "built"),
    [
        ([], "onnxruntime-training has no sgd with these options", []),
        (["--optimizer", "adam"], "keeps no running statistics of batch normalisation", ["export"]),
        (["--optimizer", "adam", "--trainable", "head"], "trains no model behind a frozen backbone", ["export"]),
    ],
)
def test_what_the_reference_lacks_is_refused_as_soon_as_it_is_known(
    options: list[str], message: str, built: list[str], tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(BATCH_NORM)
    build = tmp_path / "build"
    words = ("run", "--model", f"{tmp_path / 'own.py'}:Net", "--engine", "reference", *options)
    run = invoke(*words, "--build", build, "--runs", tmp_path / "runs")
    assert run.code == 2
    assert message in run.stderr.splitlines()[-1]
    assert [path.name for path in build.glob("Net/*")] == built
    assert not list(build.glob("package-*"))


def test_batch_normalisation_in_a_batch_of_one_is_told_from_a_large_learning_rate(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(BATCH_NORM)
    folders = ("--build", tmp_path / "build", "--runs", tmp_path / "runs")
    model = ("--model", f"{tmp_path / 'own.py'}:Net", "--optimizer", "adam")
    run = invoke("run", *model, "--batch-size", "1", "--cycles", "20", *folders)
    assert run.code == 9
    assert "training diverged; no checkpoint was saved before: batch normalisation has no variance" in run.stderr
    again = invoke("run", "--resume", *folders)
    assert again.code == 8
    assert "and would again: batch normalisation has no variance in a batch of one" in again.stderr


@pytest.mark.parametrize("options", [["--batch-size", "5001"], ["--accumulate", "157"]], ids=["batch", "accumulate"])
def test_a_step_of_more_images_than_there_are_is_refused_before_anything_is_built(
    options: list[str], tmp_path: Path
) -> None:
    build = tmp_path / "build"
    run = invoke("run", *options, "--build", build, "--runs", tmp_path / "runs")
    assert run.code == 2
    assert "the training split has 5000 images, a step takes 50" in run.stderr
    assert [path.name.split("-")[0] for path in build.iterdir()] == ["dataset"]


def test_help_names_no_letter_that_only_chance_gave() -> None:
    options = [line.split()[0] for line in invoke("--help", "run").stdout.splitlines() if line.startswith("  -")]
    assert len(options) > 20
    assert all(option.startswith("--") and len(option) > 4 for option in options)


def test_a_results_folder_that_cannot_be_written_to_is_told_before_anything_is_built(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run = invoke("run", "--runs", tmp_path / "file" / "runs", "--build", tmp_path / "build")
    assert run.code == 1
    assert run.stderr.startswith(f"error: {tmp_path / 'file'}")
    assert run.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
