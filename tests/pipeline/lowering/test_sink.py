"""K updates in one call equal K calls, for every optimizer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from device_runtime.engines.base import Batch
from device_runtime.formats.sample import picture
from pipeline.optimizers import parse_optimizer
from pipeline.recipe import Preprocessing, Recipe
from tests.pipeline import stages

PIXELS, BATCH = picture(6, 6, 1), 8

NETWORK = """
from torch import nn

def network():
    layers = nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 4)
    return nn.Sequential(*layers)
"""

OPTIMIZERS = (
    *("adam", "adamw", "sgd", "sgd,momentum=0.9,dampening=0.1", "sgd,momentum=0.9,nesterov=1"),
    *("rmsprop", "rmsprop,momentum=0.9,centered=1"),
)


def build(folder: Path, text: str) -> Path:
    """The model folder of the network, with an optimizer."""
    recipe = Recipe(Preprocessing(6, 6), parse_optimizer(text))
    return stages.build(stages.module_of(NETWORK, folder), recipe, PIXELS, 4, folder)


def batches_of(count: int) -> list[Batch]:
    random = np.random.default_rng(0)
    return [(random.integers(0, 256, (BATCH, 6, 6, 1), np.uint8), random.integers(0, 4, BATCH)) for _ in range(count)]


@pytest.mark.parametrize("text", OPTIMIZERS)
def test_sinking_equals_single_steps(text: str, tmp_path: Path) -> None:
    folder, batches = build(tmp_path, text), batches_of(7)
    rates = [0.01 / step for step in range(1, 8)]
    single, sunk = (stages.open_engine(folder, BATCH) for _ in range(2))
    expected = [single.train_step(*batch, rates[index], index + 1) for index, batch in enumerate(batches)]
    # Two calls of different length: the second goes on from the state and the step of the first.
    losses = sunk.train_steps(batches[:5], rates[:5], 1) + sunk.train_steps(batches[5:], rates[5:], 6)
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    np.testing.assert_allclose(sunk.parameters(), single.parameters(), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(sunk.buffers(), single.buffers(), rtol=1e-6, atol=1e-7)
    for name, state in single.states().items():
        np.testing.assert_allclose(sunk.states()[name], state, rtol=1e-6, atol=1e-7)


def test_single_and_sunk_steps_may_take_turns(tmp_path: Path) -> None:
    folder, batches = build(tmp_path, "adam"), batches_of(6)
    rates = [0.01] * 6
    single, mixed = (stages.open_engine(folder, BATCH) for _ in range(2))
    expected = [single.train_step(*batch, 0.01, step) for step, batch in enumerate(batches, 1)]
    losses = [mixed.train_step(*batches[0], 0.01, 1), *mixed.train_steps(batches[1:4], rates[1:4], 2)]
    losses += [mixed.train_step(*batches[4], 0.01, 5), mixed.train_step(*batches[5], 0.01, 6)]
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    np.testing.assert_allclose(mixed.parameters(), single.parameters(), rtol=1e-6, atol=1e-7)
