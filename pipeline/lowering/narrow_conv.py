"""Convolution of few channels, as the first of a network, by one product for the whole batch.

What the kernel reads at each output is gathered with the batch innermost (im2col), and kept for the weights' gradient,
which is the product with it that the runtime's convolution has no fast form of.
"""

from __future__ import annotations

import math

import numpy as np

from pipeline.lowering.graph import Graph, Shape, Value
from pipeline.lowering.layout import Pair, batch_first, batch_last, pick
from pipeline.lowering.rules import Node
from pipeline.lowering.windows import pads_of, reach_of

# Rows of the gathered matrix: with more, gathering takes more memory than it is worth.
_ROWS_LIMIT = 64


def is_narrow(node: Node, image: Shape | None, weights: Shape | None) -> bool:
    """Whether `node` is such a convolution, or its gradient, by its operands' shapes."""
    if image is None or weights is None or len(image) != 4 or not all(isinstance(size, int) for size in image[1:]):
        return False
    rows = math.prod(int(size) for size in weights[1:])
    return int(node.attributes.get("group", 1)) == 1 and weights[2:] != (1, 1) and rows <= _ROWS_LIMIT


def convolve(node: Node, g: Graph) -> Value:
    """Conv(x N×C×H×W, w M×C×KH×KW, [b M]) → y."""
    x, w = node.inputs[:2]
    size, places = _places(node, node.input_shape(0), node.input_shape(1))
    read = g.op("Reshape", pick(g, batch_last(g, x), size, places), g.ints([_rows(node.input_shape(1)), -1]))
    g.remember(_key(x, w), (read,))
    product = g.op("MatMul", g.op("Reshape", w, g.ints([0, -1])), read)
    if len(node.inputs) > 2 and node.inputs[2]:
        product = g.op("Add", product, g.op("Reshape", node.inputs[2], g.ints([-1, 1])))
    out = (places[0].shape[1], places[1].shape[1])
    return batch_first(g, g.op("Reshape", product, g.ints([0, *out, -1])))


def weight_gradient(node: Node, g: Graph) -> Value:
    """Dw of ConvGrad(dy, x, w)."""
    dy, x, w = node.inputs[:3]
    (read,) = g.recall(_key(x, w))
    gradient = g.op("Reshape", batch_last(g, dy), g.ints([0, -1]))
    return g.op("Reshape", g.op("Gemm", gradient, read, transB=1), g.ints([int(s) for s in node.input_shape(2)]))


def _places(node: Node, image: Shape, weights: Shape) -> tuple[Pair, tuple[np.ndarray, np.ndarray]]:
    """Rows and columns of the image, and those that each tap reads for each output: taps × outputs."""
    size, kernel = ([int(length) for length in shape[2:]] for shape in (image, weights))
    strides = node.attributes.get("strides", [1, 1])
    dilations = node.attributes.get("dilations", [1, 1])
    reach = reach_of(kernel, dilations)
    begins, ends = pads_of(node.attributes, size, reach, strides)
    rows, columns = (
        np.arange(kernel[a])[:, None] * dilations[a]
        - begins[a]
        + np.arange((size[a] + begins[a] + ends[a] - reach[a]) // strides[a] + 1) * strides[a]
        for a in (0, 1)
    )
    return (size[0], size[1]), (rows, columns)


def _rows(weights: Shape) -> int:
    return math.prod(int(size) for size in weights[1:])


def _key(x: Value, w: Value) -> str:
    return f"narrow/{x}/{w}"
