"""The arithmetic of a train step, against numbers worked out by hand."""

from __future__ import annotations

import tempfile

import onnx
import torch
from onnx import TensorProto, helper
from torch import nn

from pipeline.bench.flops import Shape, step_flops
from pipeline.sources.models.lenet import build


def exported(model: nn.Module, image: Shape) -> onnx.ModelProto:
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        _export(model, image, file.name)
        return onnx.load(file.name)


def _export(model: nn.Module, image: Shape, path: str) -> None:
    torch.onnx.export(
        model,
        (torch.zeros(image),),
        path,
        dynamo=False,
        training=torch.onnx.TrainingMode.TRAINING,
        do_constant_folding=False,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}},
    )


def all_of(model: nn.Module) -> list[str]:
    return [name for name, _ in model.named_parameters()]


def test_lenet_at_batch_32_is_72_megaflop() -> None:
    model = build(10)
    first = 28 * 28 * 6 * 25
    others = 10 * 10 * 16 * 6 * 25 + 400 * 120 + 120 * 84 + 84 * 10
    # Forward and two gradients, but for the gradient of the image.
    assert step_flops(exported(model, (2, 1, 32, 32)), all_of(model), (32, 1, 32, 32)) == 2 * 32 * (
        2 * first + 3 * others
    )


def test_a_depthwise_convolution_multiplies_within_its_channel() -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=4), nn.Flatten())
    assert step_flops(exported(model, (2, 4, 8, 8)), all_of(model), (5, 4, 8, 8)) == 2 * 2 * 5 * 4 * 4 * 4 * 9


def test_what_is_frozen_needs_no_gradient() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 7), nn.Linear(7, 3))
    frozen, head = 2 * 84, 2 * 21
    assert step_flops(exported(model, (2, 3, 2, 2)), ["2.weight", "2.bias"], (1, 3, 2, 2)) == frozen + 2 * head


class Attention(nn.Module):
    """Both operands of its second product are computed, and its sizes are computed in the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(4, 6, bias=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        hidden = self.project(image.reshape(image.shape[0], -1, 4))
        product: torch.Tensor = (hidden @ hidden.transpose(1, 2)).flatten(1)
        return product


def test_a_product_of_two_activations_needs_both_gradients() -> None:
    project, product = 2 * 2 * 8 * 4 * 6, 2 * 2 * 8 * 8 * 6
    model = Attention()
    assert step_flops(exported(model, (3, 1, 8, 4)), all_of(model), (2, 1, 8, 4)) == 2 * project + 3 * product


class Rows(nn.Module):
    """A recurrent layer in both directions, behind one that trains."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(4, 6, bias=False)
        self.rows = nn.LSTM(6, 5, bidirectional=True)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.rows(self.project(image.squeeze(1)).transpose(0, 1))[0][-1]  # type: ignore[no-any-return]


def test_a_recurrent_layer_multiplies_each_step_and_its_hidden_state() -> None:
    project, rows = 2 * 2 * 8 * 4 * 6, 2 * 2 * 2 * 8 * 20 * (6 + 5)
    model = Rows()
    assert step_flops(exported(model, (2, 1, 8, 4)), all_of(model), (2, 1, 8, 4)) == 2 * project + 3 * rows


def test_a_transposed_operand_is_read_the_right_way() -> None:
    value = helper.make_tensor_value_info
    weight = helper.make_tensor("weight", TensorProto.FLOAT, [5, 3], [0.0] * 15)
    node = helper.make_node("Gemm", ["image", "weight"], ["logits"], transA=1)
    graph = helper.make_graph(
        [node],
        "transposed",
        [value("image", TensorProto.FLOAT, [5, 2])],
        [value("logits", TensorProto.FLOAT, [2, 3])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    assert step_flops(model, ["weight"], (5, 2)) == 2 * 2 * (2 * 3 * 5)
