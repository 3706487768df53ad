"""The arithmetic of one train step, counted in a forward graph: what no engine that multiplies matrices can avoid."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping

import onnx

from pipeline.capture.shapes import run_on_zeros

Shape = tuple[int, ...]

PRODUCTS = ("Conv", "Gemm", "MatMul")
RECURRENT = ("RNN", "LSTM", "GRU")


def step_flops(forward: onnx.ModelProto, trainable: Collection[str], image: Shape) -> int:
    """Floating-point operations of the convolutions and matrix products of one train step, forward and backward.

    A product of m multiply-adds is 2m forward, and 2m more for the gradient of each of its two operands that depends on
    a trainable parameter: the first layer's input needs none.

    Args:
      forward: `image` → `logits`.
      trainable: names of the parameters that train.
      image: shape of a batch, N×C×H×W.
    """
    # From a run: attention's hide from shape inference.
    shapes = {name: value.shape for name, value in run_on_zeros(forward, image[0]).items()}
    shapes |= {tensor.name: tuple(tensor.dims) for tensor in forward.graph.initializer} | {"image": image}
    trained = set(trainable)
    flops = 0
    for node in forward.graph.node:
        if trained.intersection(node.input):
            trained.update(node.output)
        for multiply_adds, operands in _products(node, shapes):
            gradients = sum(operand in trained for operand in operands)
            flops += 2 * multiply_adds * (1 + gradients)
    return flops


def _products(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> Iterator[tuple[int, tuple[str, str]]]:
    """The multiply-adds of a node's products, with the operands of each."""
    if node.op_type in PRODUCTS:
        yield _multiply_adds(node, shapes), (node.input[0], node.input[1])
    elif node.op_type in RECURRENT:
        x, w, r = node.input[:3]
        steps, images, units = *shapes[x][:2], shapes[w][0] * shapes[w][1]
        yield steps * images * units * shapes[x][2], (x, w)
        # Of each step's hidden state.
        yield steps * images * units * shapes[r][2], (node.output[0], r)


def _multiply_adds(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> int:
    left, right = (shapes[name] for name in node.input[:2])
    results = math.prod(shapes[node.output[0]])
    if node.op_type == "Conv":
        # The weight is output channels × input channels of one group × kernel.
        return results * math.prod(right[1:])
    transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return results * (left[0] if transposed else left[-1])
