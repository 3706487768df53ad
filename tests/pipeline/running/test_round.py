"""A round of a fleet with models that the host made: running statistics, a frozen backbone, every kind of step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from device_runtime.formats.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from device_runtime.formats.model import read_model
from device_runtime.formats.round import ROUND_PARAMETERS, read_round
from device_runtime.formats.sample import picture
from pipeline.optimizers import parse_optimizer
from pipeline.recipe import Preprocessing, Recipe
from tests.device_runtime.interrupted import trained
from tests.device_runtime.small_model import CLASSES, execute, write_images
from tests.pipeline import stages

SIDE = 8
NETWORK = """
from torch import nn

def network():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 16), nn.ReLU(), nn.Linear(16, 3)
    )
"""
STEPS = {"one by one": (), "in one call": ("--sink-size", "5"), "of several batches": ("--accumulate", "2")}
WORDS = ("--epochs", "2", "--batch-size", "9", "--seed", "3", "--proximal-mu", "0.5")


@pytest.fixture(scope="module", params=["*", "[46].*"], ids=["all trains", "frozen backbone"])
def package(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    recipe = Recipe(
        Preprocessing(SIDE, SIDE),
        parse_optimizer("sgd,momentum=0.9"),
        learning_rate=0.02,
        clip_norm=1.0,
        trainable=(request.param,),
        proximal=True,
    )
    model = stages.build_unchecked(stages.module_of(NETWORK, folder), recipe, picture(SIDE, SIDE, 1), CLASSES, folder)
    assert (read_model(model).features is None) == (request.param == "*")
    write_images(folder / "dataset", {"train": 24, "test": 7}, SIDE)
    return folder


@pytest.mark.parametrize("steps", STEPS)
def test_a_round_trains_as_without_and_leaves_what_it_trained(package: Path, tmp_path: Path, steps: str) -> None:
    words = (*WORDS, *STEPS[steps])
    execute(package, tmp_path / "plain", *words)
    execute(package, tmp_path / "round", *words, "--round-dtype", "float32")
    assert trained(tmp_path / "round") == trained(tmp_path / "plain")
    model = read_model(package / "model")
    [last] = (tmp_path / "round").glob("*_trained_*.safetensors")
    left, whole = (read_checkpoint(file, model) for file in (tmp_path / "round" / ROUND_PARAMETERS, last))
    np.testing.assert_array_equal(left.parameters, whole.parameters)
    np.testing.assert_array_equal(left.buffers, whole.buffers)
    found = read_round(tmp_path / "round")
    assert (found.images, found.steps) == (72, whole.step)
    assert found.test_loss < found.test_loss_before


def test_the_next_round_begins_with_what_is_left_of_one(package: Path, tmp_path: Path) -> None:
    words = (*WORDS, "--round-dtype", "float16")
    execute(package, tmp_path / "first", *words)
    execute(package, tmp_path / "second", *words, "-f", tmp_path / "first" / ROUND_PARAMETERS)
    first, second = (read_round(tmp_path / name) for name in ("first", "second"))
    # Rounded: not what the first one had of the trained model itself.
    assert second.test_loss_before == pytest.approx(first.test_loss, rel=1e-2)
    assert second.test_loss < first.test_loss


def test_running_statistics_are_those_that_are_given(package: Path, tmp_path: Path) -> None:
    model = read_model(package / "model")
    start = stages.untrained(package / "model")
    results = []
    for scale in (1.0, 50.0):
        file = tmp_path / f"{scale}.safetensors"
        write_checkpoint(file, Checkpoint(0, start.parameters, start.buffers * np.float32(scale), {}), model)
        execute(package, tmp_path / str(scale), *WORDS, "--round-dtype", "float32", "-f", file)
        results.append(read_round(tmp_path / str(scale)).test_loss_before)
    # Those of a frozen backbone are the package's own.
    assert (results[0] != results[1]) == bool(model.buffers)
