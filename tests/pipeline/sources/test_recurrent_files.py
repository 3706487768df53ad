"""ONNX files with recurrent layers train as in torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from device_runtime.formats.sample import picture
from pipeline.errors import LoweringError
from pipeline.recipe import Optimizer
from pipeline.sources.model_source import find_model, recipe_of
from tests.pipeline import stages
from tests.pipeline.sources.exported import CLASSES, SIDE, train_beside_torch

UNITS = 5
PIXELS = picture(SIDE, SIDE, 1)


class Rows(nn.Module):
    """A recurrent layer over the rows of an image; its last step gives the logits."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer
        self.head = nn.Linear(UNITS * (2 if layer.bidirectional else 1), CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.layer(image[:, 0])[0][:, -1])
        return logits


LAYERS: dict[str, Callable[[], nn.RNNBase]] = {
    "lstm": lambda: nn.LSTM(SIDE, UNITS, batch_first=True),
    "lstm of two layers in both directions": lambda: nn.LSTM(SIDE, UNITS, 2, batch_first=True, bidirectional=True),
    "lstm without biases": lambda: nn.LSTM(SIDE, UNITS, batch_first=True, bias=False),
    "gru": lambda: nn.GRU(SIDE, UNITS, batch_first=True),
    "gru in both directions": lambda: nn.GRU(SIDE, UNITS, batch_first=True, bidirectional=True),
    "rnn": lambda: nn.RNN(SIDE, UNITS, batch_first=True),
    "rnn with relu": lambda: nn.RNN(SIDE, UNITS, nonlinearity="relu", batch_first=True),
}


def file_of(path: Path, module: nn.Module) -> Path:
    torch.onnx.export(
        module.eval(),
        (torch.zeros(2, 1, SIDE, SIDE),),
        str(path),
        dynamo=False,
        opset_version=15,
        input_names=["x"],
        output_names=["logits"],
        dynamic_axes={"x": {0: "N"}, "logits": {0: "N"}},
    )
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LAYERS)
def test_a_file_with_a_recurrent_layer_trains_as_in_torch(name: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    module = Rows(LAYERS[name]())
    source = find_model(str(file_of(tmp_path / "net.onnx", module)))
    recipe = replace(recipe_of(source, PIXELS), optimizer=Optimizer("adam"))
    folder = stages.build(source, recipe, PIXELS, CLASSES, tmp_path)
    train_beside_torch(folder, module, module)


def gru_file(path: Path, **attributes: object) -> Path:
    """A GRU as no torch module has it, over the columns of an image, without initial state."""
    random = np.random.default_rng(0)
    body = """ r = Squeeze(x, one) s = Transpose<perm=[1,0,2]>(r) y, h = GRU(s, W, R, B)
        last = Squeeze(h, zero) logits = Gemm<transB=1>(last, head) """
    graph = onnx.parser.parse_graph(f"net (float[N, 1, {SIDE}, {SIDE}] x) => (float[N, {CLASSES}] logits) {{{body}}}")
    gru = next(node for node in graph.node if node.op_type == "GRU")
    gru.attribute.extend(
        helper.make_attribute(key, value) for key, value in {"hidden_size": UNITS, **attributes}.items()
    )
    shapes = {"W": (1, 3 * UNITS, SIDE), "R": (1, 3 * UNITS, UNITS), "B": (1, 6 * UNITS), "head": (CLASSES, UNITS)}
    for name, shape in shapes.items():
        graph.initializer.append(numpy_helper.from_array(random.normal(0, 0.3, shape).astype(np.float32), name))
    for name, axis in (("zero", 0), ("one", 1)):
        graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, [1], [axis]))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8), path)
    return path


@pytest.mark.parametrize("reset", [0, 1], ids=["reset after", "reset before"])
def test_both_places_of_the_reset_gate_are_those_of_the_standard(reset: int, tmp_path: Path) -> None:
    source = find_model(str(gru_file(tmp_path / "net.onnx", linear_before_reset=reset)))
    # The check runs the file, whose GRU is ONNX Runtime's, and what it became.
    stages.build(source, recipe_of(source, PIXELS), PIXELS, CLASSES, tmp_path)


def test_what_no_gradient_is_known_of_is_named(tmp_path: Path) -> None:
    source = find_model(str(gru_file(tmp_path / "net.onnx", clip=1.0)))
    with pytest.raises(LoweringError, match=r"GRU \(node .*\) has no gradient with clip: export it without"):
        stages.build(source, recipe_of(source, PIXELS), PIXELS, CLASSES, tmp_path)
