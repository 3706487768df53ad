"""Whatever a training keeps beside its parameters, one that was killed has it again, bit for bit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.device_runtime.interrupted import killed_after, trained
from tests.invoking import invoke

pytestmark = pytest.mark.slow

NETWORK = """
from torch import nn
from pipeline.recipe import Preprocessing, Recipe

RECIPE = Recipe(Preprocessing(28, 28))

def net():
    convolution = nn.Sequential(nn.Conv2d(1, 4, 5, stride=3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3))
    return nn.Sequential(convolution, nn.Flatten(), nn.Linear(4 * 8 * 8, 10))
"""

KINDS = {
    "single steps": (),
    "accumulated": ("--accumulate", "2"),
    "sunk": ("--sink-size", "4"),
    "augmented": ("--augment", "flip,crop"),
    "cosine": ("--schedule", "cosine", "--warmup", "5"),
}


@pytest.fixture(scope="module", params=["sgd,momentum=0.9,nesterov=1", "adam", "rmsprop,momentum=0.5"])
def package(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with batch normalisation and dropout, for one of the optimizers."""
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "own.py").write_text(NETWORK)
    words = (
        "package",
        "--model",
        f"{folder / 'own.py'}:net",
        "--optimizer",
        request.param,
        "--build",
        folder / "build",
    )
    made = invoke(*words)
    assert made.code == 0, made.stderr
    return folder / "build" / "package-x86"


def train(package: Path, output: Path, *options: str) -> None:
    words = ["sh", str(package / "train.sh"), "--output", str(output), *options]
    env = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable}
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_training_ends_in_the_same_bits(package: Path, tmp_path: Path, kind: str) -> None:
    train(package, tmp_path / "whole", "-c", "34", "-s", "10", "--seed", "4", *KINDS[kind])
    killed_after(tmp_path / "whole", tmp_path / "killed", 20, 5)
    train(package, tmp_path / "killed", "--resume")
    assert trained(tmp_path / "killed") == trained(tmp_path / "whole")
