"""Faults planted in the lowering, each in turn: the check finds each and names the module."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from device_runtime.formats.sample import picture
from pipeline.errors import ModelError
from pipeline.graphs.graph import Graph, Value
from pipeline.graphs.node import Node
from pipeline.lowering import network
from pipeline.lowering.rules.registry import RULES, Rule
from pipeline.optimizers import RULES as OPTIMIZERS
from pipeline.optimizers import Optimizer, Update
from pipeline.recipe import Preprocessing, Recipe
from pipeline.sources.model_source import ModelSource
from tests.pipeline import stages

PIXELS = picture(8, 8, 1)
RECIPE = Recipe(Preprocessing(8, 8), batch_size=4)
CLASSES = 3

NETWORK = """
from torch import nn

def network():
    body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.Sigmoid())
    head = nn.Sequential(nn.Dropout(0.3), nn.Flatten(), nn.Linear(80, 3))
    return nn.Sequential(body, head)
"""


def built(folder: Path, recipe: Recipe = RECIPE) -> ModelSource:
    source = stages.module_of(NETWORK, folder)
    stages.build_unchecked(source, recipe, PIXELS, CLASSES, folder)
    return source


def message(folder: Path, recipe: Recipe = RECIPE) -> str:
    source = built(folder, recipe)
    with pytest.raises(ModelError) as caught:
        stages.check(source, recipe, PIXELS, CLASSES, folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_a_fault_nothing_is_found_though_dropout_draws(tmp_path: Path) -> None:
    measured = stages.check(built(tmp_path), RECIPE, PIXELS, CLASSES, tmp_path)
    assert set(measured.largest) == {"logits", "loss", "gradients", "buffers", "update"}
    assert max(value for kind, value in measured.largest.items() if kind != "update") < 1e-5


def test_a_wrong_gradient_is_found_where_the_backward_pass_meets_it_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right: Rule = RULES["SigmoidGrad"]

    def wrong(node: Node, g: Graph) -> Value:
        gradient = right(node, g)
        assert isinstance(gradient, str)
        return g.op("Mul", gradient, g.floats(1.01))

    monkeypatch.setitem(RULES, "SigmoidGrad", wrong)
    found = message(tmp_path)
    # The dense layer behind the sigmoid is right; the convolution before it is the first that is not.
    assert "the gradient of 0.3." in found
    assert "it begins in the module '0.3'" in found


def test_a_wrong_momentum_of_batch_normalisation_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right: Rule = RULES["BatchNormInternal"]

    def wrong(node: Node, g: Graph) -> Value | tuple[Value, ...]:
        return right(replace(node, attributes={**node.attributes, "momentum": 0.8}), g)

    monkeypatch.setitem(RULES, "BatchNormInternal", wrong)
    found = message(tmp_path)
    assert "the buffer 0.1.running_mean after step 1" in found
    assert "'0.1'" in found


def test_a_buffer_that_is_taken_for_another_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = network.network_of_joint

    def wrong(*parts: Any) -> network.Network:
        made = right(*parts)
        return replace(made, renewed={name: name for name in made.renewed})

    monkeypatch.setattr(network, "network_of_joint", wrong)
    assert "the buffer 0.1.running_mean after step 1" in message(tmp_path)


def test_a_buffer_that_no_step_carries_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = network.network_of_joint
    lost = "0.1.running_var"

    def forgetful(*parts: Any) -> network.Network:
        made = right(*parts)
        kept = {name: shape for name, shape in made.buffers.items() if name != lost}
        variance = onnx.helper.make_tensor(lost, onnx.TensorProto.FLOAT, [4], [1.0] * 4)
        return replace(made, buffers=kept, frozen={**made.frozen, lost: variance})

    monkeypatch.setattr(network, "network_of_joint", forgetful)
    found = message(tmp_path)
    assert "the buffer 0.1.running_var, which forward renews, would stay as it is" in found
    assert "'0.1'" in found


def test_a_forward_operator_that_computes_something_else_is_found_in_its_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(node: Node, g: Graph) -> Value:
        # Outputs keep their names where an operator is copied: here, too.
        return g.op("Tanh", node.inputs[0])

    monkeypatch.setitem(RULES, "Sigmoid", wrong)
    assert "evaluation's logits" in message(tmp_path)


@pytest.mark.parametrize("name", ["adam", "sgd", "rmsprop"])
def test_a_wrong_optimizer_is_found(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = OPTIMIZERS[name]

    def wrong(update: Update, g: Graph) -> tuple[Value, dict[str, Value]]:
        rate = g.op("Mul", update.learning_rate, g.floats(1.001))
        return right.write(replace(update, learning_rate=rate), g)

    monkeypatch.setitem(OPTIMIZERS, name, replace(right, write=wrong))
    found = message(tmp_path, replace(RECIPE, optimizer=Optimizer(name)))
    assert f"update 1 of {name} moves" in found


@pytest.mark.parametrize(
    "optimizer",
    [
        Optimizer("adamw"),
        Optimizer("sgd", (("momentum", 0.9), ("dampening", 0.1), ("weight_decay", 0.01))),
        Optimizer("sgd", (("momentum", 0.9), ("nesterov", 1.0))),
        Optimizer("rmsprop", (("centered", 1.0), ("momentum", 0.5))),
    ],
    ids=lambda optimizer: str(optimizer),
)
def test_every_optimizer_is_torchs(optimizer: Optimizer, tmp_path: Path) -> None:
    recipe = replace(RECIPE, optimizer=optimizer)
    measured = stages.check(built(tmp_path, recipe), recipe, PIXELS, CLASSES, tmp_path)
    assert measured.largest["update"] < 1e-3


@pytest.mark.parametrize("loss", ["mean_squared_error", "binary_cross_entropy"])
def test_every_loss_is_torchs(loss: str, tmp_path: Path) -> None:
    recipe = replace(RECIPE, loss=loss)  # type: ignore[arg-type]
    assert stages.check(built(tmp_path, recipe), recipe, PIXELS, CLASSES, tmp_path).largest["loss"] < 1e-5
