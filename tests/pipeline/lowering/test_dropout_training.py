"""Training with dropout, through all stages of the host: resumed, sunk, accumulated, evaluated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from device_runtime.engines.base import Batch
from device_runtime.engines.lowered import LoweredEngine
from device_runtime.formats.checkpoint import Checkpoint
from device_runtime.formats.sample import picture
from pipeline.recipe import Preprocessing, Recipe
from tests.pipeline import stages

PIXELS = picture(4, 4, 1)
RECIPE = Recipe(Preprocessing(4, 4))
RATE = 0.01

NETWORK = """
from torch import nn

def network():
    return nn.Sequential(nn.Conv2d(1, 16, 3), nn.Tanh(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(64, 3))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder of the network."""
    folder = tmp_path_factory.mktemp("dropout")
    return stages.build(stages.module_of(NETWORK, folder), RECIPE, PIXELS, 3, folder, seed=0)


def batches(count: int) -> list[Batch]:
    """Batches of 5."""
    random = np.random.default_rng(0)
    return [(random.integers(0, 256, (5, 4, 4, 1), np.uint8), random.integers(0, 3, 5)) for _ in range(count)]


def engine_of(folder: Path, start: Checkpoint | None = None) -> LoweredEngine:
    """An engine that starts untrained, or from a checkpoint."""
    return stages.open_engine(folder, 5, start=start)


def trained(engine: LoweredEngine, given: list[Batch], first: int) -> list[float]:
    """The losses of one step for each batch."""
    return [engine.train_step(*batch, RATE, step) for step, batch in enumerate(given, first)]


def test_a_resumed_training_goes_on_as_if_it_had_not_stopped(folder: Path) -> None:
    whole, begun = engine_of(folder), engine_of(folder)
    losses = trained(whole, batches(6), 1)
    assert trained(begun, batches(3), 1) == losses[:3]
    resumed = engine_of(folder, Checkpoint(3, begun.parameters(), begun.buffers(), begun.states()))
    assert trained(resumed, batches(6)[3:], 4) == losses[3:]
    np.testing.assert_array_equal(resumed.parameters(), whole.parameters())


def test_several_steps_in_one_call_draw_as_single_ones(folder: Path) -> None:
    single, sunk = engine_of(folder), engine_of(folder)
    losses = trained(single, batches(4), 1)
    np.testing.assert_allclose(sunk.train_steps(batches(4), [RATE] * 4, 1), losses, rtol=1e-6)
    np.testing.assert_allclose(sunk.parameters(), single.parameters(), rtol=1e-5, atol=1e-7)


def test_accumulated_batches_drop_each_its_own(folder: Path) -> None:
    (batch,) = batches(1)
    # With one mask for both, two batches that are equal would have the loss of one of them.
    numbers = [engine_of(folder).train_step(*batch, RATE, step) for step in (14, 15)]
    assert numbers[0] != numbers[1]
    accumulated = engine_of(folder).train_batches([batch, batch], RATE, 7)
    assert accumulated == pytest.approx(sum(numbers) / 2, rel=1e-6)


def test_evaluation_drops_nothing(folder: Path) -> None:
    engine = engine_of(folder)
    (batch,) = batches(1)
    loss, logits = engine.evaluate(*batch)
    again, _ = engine.evaluate(*batch)
    assert loss == again
    # Without dropout, images of the same pixels have the same logits wherever they stand in the batch.
    _, reversed_logits = engine.evaluate(batch[0][::-1].copy(), batch[1])
    np.testing.assert_allclose(reversed_logits[::-1], logits, rtol=1e-5, atol=1e-6)
