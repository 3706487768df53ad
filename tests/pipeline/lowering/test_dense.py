"""Each form of a dense convolution gives torch's outputs and gradients, whichever the costs would choose."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper
from torch.nn import functional

from pipeline.graphs.graph import Graph
from pipeline.graphs.node import Node
from pipeline.lowering.convolutions import dense
from pipeline.lowering.convolutions.dense import Form
from pipeline.lowering.convolutions.filtering import filtering
from pipeline.lowering.convolutions.windows import axes_of, image_axes
from pipeline.lowering.convolutions.winograd import Winograd

BATCH = 3

Attributes = dict[str, list[int]]


@pytest.mark.parametrize("outputs", [2, 3, 4])
def test_filtering_is_a_correlation(outputs: int) -> None:
    by = filtering(outputs, 3)
    taps, inputs = np.array([2.0, -1.0, 3.0]), np.arange(outputs + 2) ** 2.0
    np.testing.assert_allclose(by.back @ ((by.taps @ taps) * (by.patch @ inputs)), np.correlate(inputs, taps, "valid"))


@pytest.mark.parametrize("tile", [2, 3, 4])
@pytest.mark.parametrize(("size", "padding"), [((8, 8), 1), ((7, 5), 1), ((3, 9), 0), ((2, 2), 1), ((6, 7), 2)])
def test_tiles(size: tuple[int, int], padding: int, tile: int) -> None:
    image, weights = (5, *size), (6, 5, 3, 3)
    attributes = {"pads": [padding] * 4}
    rows, columns = axes_of(attributes, size, (3, 3))
    # Rounding is ten times that of a plain sum in the largest tiles.
    check(Winograd((rows, columns), tile), image, weights, attributes, 2e-5)


@pytest.mark.parametrize("kernel", [(1, 1), (2, 2), (3, 3), (3, 2)])
def test_gathered(kernel: tuple[int, int]) -> None:
    for stride, dilation, padding in itertools.product((1, 2, 3), (1, 2), (0, 1)):
        image, weights = (5, 7, 8), (6, 5, *kernel)
        attributes = {"pads": [padding] * 4, "strides": [stride, 2], "dilations": [dilation, 1]}
        rows, columns = axes_of(attributes, image[1:], kernel)
        check((rows, columns), image, weights, attributes, 2e-6)


def test_costs_choose() -> None:
    def form(channels: int, size: int, outputs: int, kernel: int, stride: int, pad: int = 1) -> Form | None:
        attributes = {"strides": [stride] * 2, "pads": [pad] * 4}
        node = Node("Conv", "", (), (), attributes, (), ())
        return dense.form_of(node, ("N", channels, size, size), (outputs, channels, kernel, kernel))

    def gathered(channels: int, size: int, outputs: int, kernel: int, stride: int, pad: int = 1) -> bool:
        return isinstance(form(channels, size, outputs, kernel, stride, pad), tuple)

    tiles = {size: form(channels, size, channels, 3, 1) for channels, size in ((64, 24), (128, 12), (256, 6))}
    assert {size: chosen.tile for size, chosen in tiles.items() if isinstance(chosen, Winograd)} == {24: 4, 12: 4, 6: 3}
    assert gathered(512, 3, 512, 3, 1)
    assert gathered(3, 32, 16, 3, 1)
    assert gathered(64, 24, 128, 3, 2)
    assert gathered(3, 96, 192, 16, 16, 0)
    assert form(64, 24, 64, 1, 1, 0) is None
    assert form(3, 224, 64, 7, 2, 3) is None


def check(form: Form, image: Sequence[int], weights: Sequence[int], attributes: Attributes, tolerance: float) -> None:
    """Output and gradients to `tolerance` of the largest element."""
    random = np.random.default_rng(0)
    x, w = (torch.from_numpy(random.normal(size=shape)).requires_grad_() for shape in ((BATCH, *image), weights))
    bias = torch.from_numpy(random.normal(size=weights[0]))
    strides, dilations = attributes.get("strides", [1, 1]), attributes.get("dilations", [1, 1])
    y = functional.conv2d(x, w, bias, tuple(strides), attributes["pads"][:2], tuple(dilations))
    dy = torch.from_numpy(random.normal(size=y.shape))
    expected = y, *torch.autograd.grad(y, (x, w), dy)
    given = {"x": x, "w": w, "b": bias, "dy": dy}
    shapes = {
        name: ("N", *value.shape[1:]) if name in ("x", "dy") else tuple(value.shape) for name, value in given.items()
    }
    g = Graph()
    for name in given:
        g.name(name)

    def node(op_type: str, *inputs: str) -> Node:
        return Node(op_type, "", inputs, (), attributes, tuple(shapes[name] for name in inputs), ())

    backward = node("ConvGrad", "dy", "x", "w")
    assert image_axes(attributes, *backward.input_shapes[1:3])
    results = (
        dense.convolve(node("Conv", "x", "w", "b"), g, form),
        dense.input_gradient(backward, g, form),
        dense.weight_gradient(backward, g, form),
    )
    g.publish(dict(zip(("y", "dx", "dw"), results, strict=True)))
    model = g.model(
        "convolution",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape[1:]])
            for name, shape in (("y", y.shape), ("dx", x.shape), ("dw", w.shape))
        ],
    )
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {name: value.detach().numpy().astype(np.float32) for name, value in given.items()}
    for got, exact in zip(session.run(None, feeds), expected, strict=True):
        truth = exact.detach().numpy()
        np.testing.assert_allclose(got, truth, rtol=0, atol=tolerance * np.abs(truth).max())
