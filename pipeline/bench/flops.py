"""The arithmetic of one train step, counted in a forward graph: what no engine that multiplies matrices can avoid."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import onnx

from pipeline.capture.shapes import run_on_zeros

Shape = tuple[int, ...]

PRODUCTS = ("Conv", "Gemm", "MatMul")


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
        if node.op_type in PRODUCTS:
            gradients = sum(operand in trained for operand in node.input[:2])
            flops += 2 * _multiply_adds(node, shapes) * (1 + gradients)
        if trained.intersection(node.input):
            trained.update(node.output)
    return flops


def _multiply_adds(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> int:
    left, right = (shapes[name] for name in node.input[:2])
    results = math.prod(shapes[node.output[0]])
    if node.op_type == "Conv":
        # The weight is output channels × input channels of one group × kernel.
        return results * math.prod(right[1:])
    transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return results * (left[0] if transposed else left[-1])
