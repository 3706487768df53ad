"""Losses of every kind of target, and a model's own: their values and gradients are torch's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from device_runtime.formats.model import read_model
from device_runtime.formats.sample import CLASS, LABELS, VALUES, Sample, Target, one_class, picture
from pipeline.errors import ModelError, PipelineError, UsageError
from pipeline.recipe import Loss, Preprocessing, Recipe, fitting
from pipeline.sources.model_source import find_model, recipe_of
from tests.pipeline import stages

RECIPE = Recipe(Preprocessing(1, 1), batch_size=6)
WINDOW = Sample("float32", (7, 3))
WORDS = Sample("int32", (5,))

NETWORKS = """
import torch
from torch import nn
from torch.nn import functional as F

class Gru(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.gru, self.out = nn.GRU(3, 8, batch_first=True), nn.Linear(8, outputs)

    def forward(self, window):
        return self.out(self.gru(window)[0][:, -1])

class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.out = nn.Embedding(9, 6), nn.Linear(6, 4)

    def forward(self, words):
        return self.out(self.words(words)).transpose(1, 2)

def four():
    return Gru(4)

def tagger():
    return Tagger()

def pictures():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 5 * 4, 4))
"""

LABELLED, VALUED = Target(LABELS, 4, (4,)), Target(VALUES, 4, (4,))
TAGGED, GAPPED = Target(CLASS, 4, (5,)), Target(CLASS, 4, (5,), ignore=-1)
WEIGHTS = (0.5, 1.0, 2.0, 3.5)

CASES: Mapping[str, tuple[str, Sample, Target, Recipe]] = {
    "a class of a window": ("four", WINDOW, one_class(4), RECIPE),
    "with weights": ("four", WINDOW, one_class(4), replace(RECIPE, class_weights=WEIGHTS)),
    "with weights, smoothed": (
        "four",
        WINDOW,
        one_class(4),
        replace(RECIPE, class_weights=WEIGHTS, label_smoothing=0.1),
    ),
    "labels": ("four", WINDOW, LABELLED, RECIPE),
    "labels with weights": ("four", WINDOW, LABELLED, replace(RECIPE, class_weights=WEIGHTS)),
    "labels, squared": ("four", WINDOW, LABELLED, replace(RECIPE, loss="mean_squared_error")),
    "values": ("four", WINDOW, VALUED, RECIPE),
    "values, absolute": ("four", WINDOW, VALUED, replace(RECIPE, loss="mean_absolute_error")),
    "values, huber": ("four", WINDOW, VALUED, replace(RECIPE, loss="huber", huber_delta=0.4)),
    "values, cosine": ("four", WINDOW, VALUED, replace(RECIPE, loss="cosine_embedding")),
    "a class of each position": ("tagger", WORDS, TAGGED, RECIPE),
    "of some positions": ("tagger", WORDS, GAPPED, RECIPE),
    "of some positions, with weights": ("tagger", WORDS, GAPPED, replace(RECIPE, class_weights=WEIGHTS)),
    "labels of pictures": ("pictures", picture(5, 4, 3), LABELLED, replace(RECIPE, preprocessing=Preprocessing(5, 4))),
    "halves": ("four", Sample("float16", (7, 3)), VALUED, RECIPE),
    "16 bits": ("four", Sample("int16", (7, 3)), VALUED, RECIPE),
}


@pytest.mark.parametrize("name", CASES)
def test_a_loss_is_torchs(name: str, tmp_path: Path) -> None:
    network, sample, target, recipe = CASES[name]
    (tmp_path / "net.py").write_text(NETWORKS)
    source = find_model(f"{tmp_path / 'net.py'}:{network}")
    folder = stages.build(source, fitting(recipe, target), sample, target, tmp_path)
    model = read_model(folder)
    assert (model.input, model.target) == (sample, target)


OWN = """
def LOSS(output, target):
    {}
"""
FOCAL = """
    own = F.log_softmax(output, 1).gather(1, target.unsqueeze(1)).squeeze(1)
    return (-((1 - own.exp()) ** 2) * own).mean()
"""
WEIGHED = """
    values, features = output
    return F.mse_loss(values, target) + 0.3 * features.pow(2).mean() + 0.1 * F.l1_loss(values, target)
"""
TWO = """
class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.out = nn.Linear(21, 6), nn.Linear(6, 4)

    def forward(self, window):
        features = torch.tanh(self.body(window.flatten(1)))
        return self.out(features), features

def two():
    return Two()
"""


@pytest.mark.parametrize(
    ("network", "loss", "target"), [("four", FOCAL, one_class(4)), ("two", WEIGHED, VALUED)], ids=["focal", "weighed"]
)
def test_a_models_own_loss_is_torchs(network: str, loss: str, target: Target, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NETWORKS + TWO + OWN.format(loss.strip()))
    source = find_model(f"{tmp_path / 'net.py'}:{network}")
    recipe = fitting(replace(recipe_of(source, WINDOW), batch_size=6), target)
    assert recipe.loss == "custom"
    folder = stages.build(source, recipe, WINDOW, target, tmp_path)
    assert read_model(folder).loss == "custom"


SLOPE = """
class Slope(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, image):
        with torch.enable_grad():
            image = image.detach().requires_grad_()
            output = self.net(image)
            (slope,) = torch.autograd.grad(F.softplus(output).sum(), image, create_graph=True)
        return output, slope

class Attacked(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, image):
        if not self.training:
            return self.net(image)
        image = image.detach().requires_grad_()
        (slope,) = torch.autograd.grad(self.net(image).logsumexp(1).sum(), image)
        return self.net(image.detach() + 0.05 * slope.sign())

def dense():
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.Tanh(), nn.Linear(8, 4))

def pooled():
    body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.SiLU(), nn.MaxPool2d(2), nn.Flatten())
    return body.append(nn.Linear(16, 4))

def overlapping():
    body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.GELU(), nn.MaxPool2d(3, 2, 1), nn.Flatten())
    return body.append(nn.Linear(16, 4))

def attentive():
    layer = nn.TransformerEncoderLayer(16, 2, 8, dropout=0.0, batch_first=True)
    return nn.Sequential(nn.Flatten(2), layer, nn.Flatten(), nn.Linear(48, 4))

def normalised():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.SiLU(), nn.Flatten(), nn.Linear(16, 4))

def recurrent():
    return nn.Sequential(nn.Flatten(2), Recurrent())

class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru, self.out = nn.GRU(16, 5, batch_first=True), nn.Linear(5, 4)

    def forward(self, sequence):
        return self.out(self.gru(sequence)[0][:, -1])

def LOSS(output, target):
    if not isinstance(output, tuple):
        return F.cross_entropy(output, target)
    return F.cross_entropy(output[0], target) + 0.1 * output[1].flatten(1).pow(2).sum(1).mean()
"""


def _of_slopes(module: str, network: str, folder: Path) -> None:
    """Builds and checks a network whose loss takes the gradient of its input."""
    wrapped = f"\n\ndef build():\n    return {module}({network}())\n"
    (folder / "net.py").write_text(NETWORKS + SLOPE + wrapped)
    source = find_model(f"{folder / 'net.py'}:build")
    sample, target = Sample("float32", (3, 4, 4)), one_class(4)
    recipe = fitting(replace(recipe_of(source, sample), batch_size=6), target)
    stages.build(source, recipe, sample, target, folder)


@pytest.mark.parametrize("network", ["dense", "pooled", "overlapping", "attentive"])
def test_a_loss_of_the_inputs_gradient_is_torchs(network: str, tmp_path: Path) -> None:
    _of_slopes("Slope", network, tmp_path)


@pytest.mark.parametrize("network", ["pooled", "recurrent"])
def test_a_step_along_the_inputs_gradient_is_torchs(network: str, tmp_path: Path) -> None:
    _of_slopes("Attacked", network, tmp_path)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ("recurrent", "gradient of a gradient through GRU, which has none"),
        ("normalised", "through batch normalisation, .*GroupNorm in place"),
    ],
)
def test_a_gradient_of_a_gradient_that_has_no_form_is_refused(network: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=said):
        _of_slopes("Slope", network, tmp_path)


def test_a_loss_that_was_chosen_stands_before_the_models_own(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NETWORKS + OWN.format(FOCAL.strip()))
    recipe = recipe_of(find_model(f"{tmp_path / 'net.py'}:four"), WINDOW)
    assert fitting(replace(recipe, loss="huber"), VALUED).loss == "huber"


@pytest.mark.parametrize(
    ("target", "loss"), [(one_class(3), "huber"), (TAGGED, "mean_squared_error"), (VALUED, "binary_cross_entropy")]
)
def test_a_loss_that_such_targets_cannot_have_is_refused(target: Target, loss: Loss) -> None:
    with pytest.raises(UsageError, match=f"have no loss {loss}: give "):
        fitting(replace(RECIPE, loss=loss), target)


@pytest.mark.parametrize(
    ("recipe", "target", "said"),
    [
        (replace(RECIPE, class_weights=(1.0, 2.0)), one_class(3), "class_weights are 2, the data has 3 classes"),
        (replace(RECIPE, class_weights=WEIGHTS), VALUED, "belong to cross entropy"),
        (replace(RECIPE, label_smoothing=0.1), VALUED, "label smoothing belongs"),
        (replace(RECIPE, loss="custom", class_weights=WEIGHTS), one_class(4), "belong to cross entropy, not to custom"),
        (replace(RECIPE, loss="custom", auxiliary={"aux": 0.3}), one_class(4), "leave the recipe's auxiliary out"),
    ],
)
def test_what_the_targets_have_no_use_for_is_refused(recipe: Recipe, target: Target, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        fitting(recipe, target)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def LOSS(output, target):\n    return output", "LOSS gives a tensor of shape .* and torch.float32: give one"),
        ("def LOSS(output, target):\n    return output.mean().reshape(1)", r"LOSS gives a tensor of shape \(1,\)"),
        ("def LOSS(output, target):\n    return output.double().mean()", "LOSS gives a tensor .* torch.float64"),
        ("def LOSS(output, target):\n    output.mean()", "LOSS gives NoneType, which is no tensor"),
        ("LOSS = 3", "LOSS is no function"),
        ("def LOSS(output, target):\n    return output.nosuch()", "nosuch"),
    ],
)
def test_an_own_loss_that_is_none_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NETWORKS + text)
    source = find_model(f"{tmp_path / 'net.py'}:four")
    with pytest.raises(PipelineError, match=said):
        stages.build(source, recipe_of(source, WINDOW), WINDOW, one_class(4), tmp_path)


def test_an_output_of_another_shape_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NETWORKS)
    with pytest.raises(ModelError, match=r"shape N×4, the dataset has 3 values: the output has to be N×3"):
        stages.build(find_model(f"{tmp_path / 'net.py'}:four"), RECIPE, WINDOW, Target(VALUES, 3, (3,)), tmp_path)
