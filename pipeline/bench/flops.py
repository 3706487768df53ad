"""The arithmetic of one train step, counted in a forward graph: what no engine that multiplies matrices can avoid."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

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
    shapes = _shapes(forward, image)
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


def _shapes(forward: onnx.ModelProto, image: Shape) -> dict[str, Shape]:
    """Shapes of the operands and results of all products, from one run: attention's hide from shape inference."""
    import onnx
    import onnxruntime as ort

    shapes = {tensor.name: tuple(tensor.dims) for tensor in forward.graph.initializer} | {"image": image}
    products = (node for node in forward.graph.node if node.op_type in PRODUCTS)
    names = dict.fromkeys(name for node in products for name in (*node.input[:2], node.output[0]))
    unknown = [name for name in names if name not in shapes]
    probed = onnx.ModelProto()
    probed.CopyFrom(forward)
    del probed.graph.output[:]
    probed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in unknown)
    session = ort.InferenceSession(probed.SerializeToString(), providers=["CPUExecutionProvider"])
    values = session.run(unknown, {"image": np.zeros(image, np.float32)})
    return shapes | {name: value.shape for name, value in zip(unknown, values, strict=True)}
