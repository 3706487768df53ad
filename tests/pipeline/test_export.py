"""What a torch module does not train is no parameter of the exported graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from device_runtime.formats.model import Pixels
from pipeline.errors import ModelError, PipelineError
from pipeline.export import export
from pipeline.model_source import find_model
from pipeline.recipe import Optimizer, Preprocessing, Recipe
from pipeline.split import split_parameters
from tests.pipeline import stages

MODULE = """
import torch
from torch import nn

class Centred(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.full((1, 3, 1, 1), 0.5))
        self.first = nn.Conv2d(3, 4, 3)
        self.first.bias.requires_grad_(False)
        self.norm = nn.BatchNorm2d(4)
        self.last = nn.Linear(4, 2)

    def forward(self, image):
        return self.last(self.norm(self.first(image - self.mean)).relu().mean((2, 3)))

network = Centred
"""
SCALARS = """
import torch
from torch import nn

class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale, self.shift = (nn.Parameter(torch.tensor(value)) for value in (1.0, 0.0))

    def forward(self, image):
        return image.mean((2, 3)) * self.scale + self.shift

network = Scaled
"""
OUTPUTS = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(3, 3)

class Two(Net):
    def forward(self, image):
        return self.last(image.mean((2, 3))), image

class Whole(Net):
    def forward(self, image):
        return self.last(image.mean((2, 3))).long()

class Frozen(Net):
    def __init__(self):
        super().__init__()
        self.requires_grad_(False)

    def forward(self, image):
        return self.last(image.mean((2, 3)))
"""
PIXELS = Pixels(6, 6, 3)
RECIPE = Recipe(Preprocessing(6, 6), Optimizer("sgd"), batch_size=4)


def test_buffers_and_parameters_without_a_gradient_stay_as_they_are(tmp_path: Path) -> None:
    folder = stages.build(stages.module_of(MODULE, tmp_path), RECIPE, PIXELS, 2, tmp_path, seed=0)
    forward = onnx.load(tmp_path / "export" / "forward.onnx")
    trainable, _ = split_parameters(forward, ("*",))
    assert trainable == ["first.weight", "norm.weight", "norm.bias", "last.weight", "last.bias"]
    engine = stages.open_engine(folder, RECIPE.batch_size)
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 3), np.uint8)
    label = np.array([0, 1, 1, 0])
    losses = [engine.train_step(image, label, 0.5, number) for number in range(1, 9)]
    assert losses == sorted(losses, reverse=True)


def test_scalar_parameters_are_all_named(tmp_path: Path) -> None:
    source = stages.module_of(SCALARS, tmp_path)
    with pytest.raises(ModelError, match=r"scale, shift; give them the shape \[1\]"):
        export(source, RECIPE, PIXELS, 3, 0, tmp_path / "export")


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("Two", "'Two' gives 2 outputs"),
        ("Whole", "an output of type int64: the logits have to be float32"),
        ("Frozen", "no parameter to train"),
    ],
)
def test_a_module_that_cannot_be_trained_is_refused(factory: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OUTPUTS)
    with pytest.raises(PipelineError, match=message):
        export(find_model(f"{tmp_path / 'own.py'}:{factory}"), RECIPE, PIXELS, 3, 0, tmp_path / "export")
    assert [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"] == ["own.py"]
