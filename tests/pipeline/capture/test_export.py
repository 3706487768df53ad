"""What a torch module does not train is no parameter of the exported graph."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import onnx
import pytest

from device_runtime.formats.model import read_model
from device_runtime.formats.sample import one_class, picture
from pipeline.capture.export import export
from pipeline.errors import ModelError, PipelineError
from pipeline.recipe import Optimizer, Preprocessing, Recipe
from pipeline.sources.model_source import find_model
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
PIXELS = picture(6, 6, 3)
RECIPE = Recipe(Preprocessing(6, 6), Optimizer("sgd"), batch_size=4)


def test_buffers_and_parameters_without_a_gradient_stay_as_they_are(tmp_path: Path) -> None:
    folder = stages.build(stages.module_of(MODULE, tmp_path), RECIPE, PIXELS, 2, tmp_path, seed=0)
    assert [parameter.name for parameter in read_model(folder).parameters] == [
        "first.weight",
        "norm.weight",
        "norm.bias",
        "last.weight",
        "last.bias",
    ]
    engine = stages.open_engine(folder, RECIPE.batch_size)
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 3), np.uint8)
    label = np.array([0, 1, 1, 0])
    losses = [engine.train_step(image, label, 0.5, number) for number in range(1, 9)]
    assert losses == sorted(losses, reverse=True)


def test_scalar_parameters_train(tmp_path: Path) -> None:
    folder = stages.build(stages.module_of(SCALARS, tmp_path), RECIPE, PIXELS, 3, tmp_path)
    scalars = {parameter.name for parameter in read_model(folder).parameters if parameter.shape == ()}
    assert scalars == {"scale", "shift"}


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("Whole", "an output of type int64: the logits have to be float32"),
        ("Frozen", "no parameter to train"),
    ],
)
def test_a_module_that_cannot_be_trained_is_refused(factory: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OUTPUTS)
    with pytest.raises(PipelineError, match=message):
        export(find_model(f"{tmp_path / 'own.py'}:{factory}"), RECIPE, PIXELS, one_class(3), 0, tmp_path / "export")
    assert [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"] == ["own.py"]


def test_lenet_with_photographs_says_what_takes_them(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"lenet takes grey images, .* give --model transfer --head features"):
        export(find_model("lenet"), RECIPE, picture(32, 32, 3), one_class(3), 0, tmp_path / "export")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_initial_weights_that_are_no_numbers_are_named(value: str, tmp_path: Path) -> None:
    broken = f"self.first.bias.data[1] = float('{value}')"
    source = stages.module_of(MODULE.replace("self.first.bias.requires_grad_(False)", broken), tmp_path)
    with pytest.raises(ModelError, match=r"NaN or infinite, .*: first\.bias$"):
        export(source, RECIPE, PIXELS, one_class(2), 0, tmp_path / "export")


@pytest.mark.parametrize(("value", "refused"), [("nan", True), ("inf", True), ("-inf", False)])
def test_of_an_onnx_file_a_mask_of_minus_infinity_is_taken(value: str, refused: bool, tmp_path: Path) -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 15]>
        g (float[N, 1, 2, 2] x) => (float[N, 2] y) <float[2] mask = {0, 0}> {
            flat = Flatten(x)
            first = Constant <value = float[4, 2] {1, 0, 0, 1, 1, 0, 0, 1}> ()
            product = MatMul(flat, first)
            y = Add(product, mask)
        }"""
    )
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.array([0, value], np.float32), "mask"))
    onnx.save(model, tmp_path / "own.onnx")
    source = find_model(str(tmp_path / "own.onnx"))
    recipe = Recipe(Preprocessing(2, 2))
    with pytest.raises(ModelError, match=r"NaN or infinite, .*: mask$") if refused else nullcontext():
        export(source, recipe, picture(2, 2, 1), one_class(2), 0, tmp_path / "export")


def test_layers_that_wait_for_their_first_input_are_named(tmp_path: Path) -> None:
    source = stages.module_of("from torch import nn\nnetwork = lambda: nn.Sequential(nn.LazyLinear(2))\n", tmp_path)
    with pytest.raises(ModelError, match=r"0\.weight, 0\.bias: not initialized; call the module once"):
        export(source, RECIPE, PIXELS, one_class(2), 0, tmp_path / "export")


def test_parameters_on_another_device_are_refused(tmp_path: Path) -> None:
    source = stages.module_of("from torch import nn\nnetwork = lambda: nn.Linear(6, 2, device='meta')\n", tmp_path)
    with pytest.raises(ModelError, match="parameters are on meta: make it on the CPU"):
        export(source, RECIPE, PIXELS, one_class(2), 0, tmp_path / "export")
