"""Each loss is torch's: its value, its gradients, and no overflow at large logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from device_runtime.engines.base import Engine
from device_runtime.engines.reference import ReferenceEngine
from device_runtime.formats.model import read_model
from device_runtime.formats.sample import picture
from pipeline.recipe import Preprocessing, Recipe
from tests.pipeline import stages
from tests.pipeline.lowering.harness import RECIPE, assert_same, by_lowering, by_torch

CLASSES, IMAGES = 5, 6

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def one_hot(labels: torch.Tensor) -> torch.Tensor:
    return functional.one_hot(labels, CLASSES).double()


LOSSES: dict[str, tuple[Recipe, Loss]] = {
    "cross entropy": (RECIPE, functional.cross_entropy),
    "smoothed": (
        replace(RECIPE, label_smoothing=0.1),
        lambda logits, labels: functional.cross_entropy(logits, labels, label_smoothing=0.1),
    ),
    "mean squared error": (
        replace(RECIPE, loss="mean_squared_error"),
        lambda logits, labels: functional.mse_loss(logits, one_hot(labels)),
    ),
    "binary cross entropy": (
        replace(RECIPE, loss="binary_cross_entropy"),
        lambda logits, labels: functional.binary_cross_entropy_with_logits(logits, one_hot(labels)),
    ),
}


# Logits of 0 are where max(z, 0) and |z| have a corner, those of 100 where exp(z) would overflow.
@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_and_its_gradients_are_torchs(name: str, scale: float, tmp_path: Path) -> None:
    torch.manual_seed(1)
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, CLASSES))
    image = np.random.default_rng(0).normal(size=(IMAGES, 3, 2, 2)).astype(np.float32)
    last = module[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        largest = float(module(torch.from_numpy(image)).abs().max())
        last.weight.mul_(scale / largest)
        last.bias.mul_(scale / largest)
    label = np.arange(IMAGES, dtype=np.int64) % CLASSES
    recipe, loss = LOSSES[name]
    lowered = by_lowering(module, image, label, tmp_path, recipe)
    assert np.isfinite(lowered.loss)
    assert_same(lowered, by_torch(module, image, label, loss))


MODULE = """
from torch import nn

def network():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 4 * 4, 5))
"""


@pytest.mark.parametrize("name", LOSSES)
def test_the_engines_agree_on_the_losses_of_some_steps(name: str, tmp_path: Path) -> None:
    pixels, recipe = picture(6, 6, 1), replace(LOSSES[name][0], preprocessing=Preprocessing(6, 6))
    source = stages.module_of(MODULE, tmp_path)
    folder = stages.build_unchecked(source, recipe, pixels, CLASSES, tmp_path, reference=True)
    engines: list[Engine] = [
        stages.open_engine(folder, IMAGES),
        ReferenceEngine(folder / "reference", read_model(folder), stages.untrained(folder), 1),
    ]
    random = np.random.default_rng(0)
    batches = [
        (random.integers(0, 256, (IMAGES, 6, 6, 1), np.uint8), random.integers(0, CLASSES, IMAGES)) for _ in range(10)
    ]
    lowered, reference = (
        [engine.train_step(image, label, 1e-2, step) for step, (image, label) in enumerate(batches, 1)]
        + [engine.evaluate(*batches[0])[0]]
        for engine in engines
    )
    np.testing.assert_allclose(lowered, reference, rtol=1e-5)
