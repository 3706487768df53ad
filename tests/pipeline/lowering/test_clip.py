"""At its bounds, the gradient of a Clip with two of them is torch's of ReLU6 and Hardtanh: 0."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from device_runtime.formats.sample import picture
from pipeline.recipe import Optimizer
from pipeline.sources.model_source import find_model, recipe_of
from tests.pipeline import stages

CLASSES, SIDE = 3, 6


@pytest.mark.parametrize("activation", [nn.ReLU6(), nn.Hardtanh(), nn.Hardtanh(-0.5, 0.5)], ids=str)
def test_black_images_give_zero_biases_the_gradient_that_torch_gives(activation: nn.Module, tmp_path: Path) -> None:
    torch.manual_seed(1)
    conv = nn.Conv2d(1, 4, 3)
    module = nn.Sequential(conv, activation, nn.Flatten(), nn.Linear(64, CLASSES))
    with torch.no_grad():
        # Bounds are met exactly.
        conv.bias.copy_(torch.tensor([1.0, -0.5, 0.0, 0.0]))  # type: ignore[union-attr]
    names = {"input_names": ["x"], "output_names": ["y"], "dynamic_axes": {"x": {0: "N"}}}
    path = tmp_path / "net.onnx"
    torch.onnx.export(module, (torch.zeros(1, 1, SIDE, SIDE),), str(path), dynamo=False, **names)  # type: ignore[arg-type]
    pixels = picture(SIDE, SIDE, 1)
    source = find_model(str(path))
    recipe = replace(recipe_of(source, pixels), optimizer=Optimizer("sgd"))
    engine = stages.open_engine(stages.build(source, recipe, pixels, CLASSES, tmp_path), 4)
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    images, labels = np.zeros((4, SIDE, SIDE, 1), np.uint8), np.arange(4) % CLASSES
    images[:, 3:, 3:] = 255
    for step in range(1, 6):
        optimizer.zero_grad()
        given = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        loss = nn.functional.cross_entropy(module(given), torch.from_numpy(labels))
        torch.autograd.backward(loss)
        optimizer.step()
        assert engine.train_step(images, labels, 0.1, step) == pytest.approx(float(loss.detach()), rel=1e-5)
