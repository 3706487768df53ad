"""Of several outputs those that the recipe weighs take part in the training, as in torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from device_runtime.formats.sample import picture
from pipeline.capture.joint.loss import auxiliary_of, logits_of
from pipeline.errors import ModelError, UsageError
from pipeline.recipe import Optimizer, Preprocessing, Recipe
from pipeline.sources.model_source import build_module
from tests.pipeline import stages

SIDE, CLASSES, BATCH, STEPS, RATE, SEED = 6, 4, 8, 20, 1e-2, 3
PIXELS = picture(SIDE, SIDE, 1)

TEXT = """
from collections import namedtuple
import torch
from torch import nn
Outputs = namedtuple("Outputs", "logits aux")
class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.head, self.side = nn.Linear(36, 12), nn.Linear(12, 4), nn.Linear(12, 4)
    def forward(self, x):
        h = torch.relu(self.first(x.flatten(1)))
        return {returned}
def network():
    return Network()
"""
RETURNED: dict[str, tuple[str, str | int]] = {
    "a dictionary": ('{"logits": self.head(h), "aux": self.side(h)}', "aux"),
    "a tuple": ("(self.head(h), self.side(h))", 1),
    "names": ("Outputs(self.head(h), self.side(h))", "aux"),
    "in training alone": ("Outputs(self.head(h), self.side(h)) if self.training else self.head(h)", "aux"),
}


def recipe_with(auxiliary: dict[str | int, float]) -> Recipe:
    return Recipe(Preprocessing(SIDE, SIDE), Optimizer("adam"), auxiliary=auxiliary)


@pytest.mark.parametrize("name", RETURNED)
def test_a_weighed_output_trains_as_in_torch(name: str, tmp_path: Path) -> None:
    returned, key = RETURNED[name]
    source = stages.module_of(TEXT.replace("{returned}", returned), tmp_path)
    recipe = recipe_with({key: 0.3})
    engine = stages.open_engine(stages.build(source, recipe, PIXELS, CLASSES, tmp_path, SEED), BATCH)
    network = build_module(source, CLASSES, SEED).train()
    optimizer = torch.optim.Adam(network.parameters(), RATE)
    random = np.random.default_rng(0)
    for step in range(1, STEPS + 1):
        pixels, label = random.integers(0, 256, (BATCH, SIDE, SIDE, 1), np.uint8), np.arange(BATCH) % CLASSES
        output = network(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)
        target = torch.from_numpy(label)
        loss = functional.cross_entropy(logits_of(output), target)
        loss = loss + 0.3 * functional.cross_entropy(auxiliary_of(output, key), target)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        assert engine.train_step(pixels, label, RATE, step) == pytest.approx(float(loss.detach()), rel=1e-3)


def test_an_output_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    source = stages.module_of(TEXT.replace("{returned}", RETURNED["a dictionary"][0]), tmp_path)
    with pytest.raises(ModelError, match="gives no output 'side', but 'logits', 'aux'"):
        stages.build(source, recipe_with({"side": 0.3}), PIXELS, CLASSES, tmp_path)


def test_a_weight_that_is_no_number_is_refused() -> None:
    with pytest.raises(UsageError, match="auxiliary"):
        recipe_with({"aux": "much"})  # type: ignore[dict-item]
