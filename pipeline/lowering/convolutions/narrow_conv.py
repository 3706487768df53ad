"""Convolution of few channels, as the first of a network, by one product for the whole batch.

What the kernel reads at each output is gathered with the batch innermost (im2col), and kept for the weights' gradient,
which is the product with it that the runtime's convolution has no fast form of.
"""

from __future__ import annotations

import math

from pipeline.graphs.graph import Graph, Shape, Value
from pipeline.graphs.node import Node
from pipeline.lowering.convolutions.layout import add_bias, batch_first, batch_last, matrix, pick
from pipeline.lowering.convolutions.windows import Axis, image_axes

# Rows of the gathered matrix, and its elements for one image: beyond, it takes more memory than it is worth.
_ROWS_LIMIT, _ELEMENTS_LIMIT = 64, 2**19


def narrow_axes(node: Node, image: Shape | None, weights: Shape | None) -> tuple[Axis, Axis] | None:
    """Rows and columns of such a convolution, or of its gradient, by its operands' shapes; None for any other."""
    axes = image_axes(node.attributes, image, weights)
    if axes is None or weights is None or int(node.attributes.get("group", 1)) != 1 or weights[2:] == (1, 1):
        return None
    rows = math.prod(int(size) for size in weights[1:])
    elements = rows * math.prod(axis.out for axis in axes)
    return axes if rows <= _ROWS_LIMIT and elements <= _ELEMENTS_LIMIT else None


def convolve(node: Node, g: Graph, axes: tuple[Axis, Axis]) -> Value:
    """Conv(x N×C×H×W, w M×C×KH×KW, [b M]) → y."""
    x, w = node.inputs[:2]
    rows = math.prod(int(size) for size in node.input_shape(1)[1:])
    read = g.op("Reshape", pick(g, x, axes), g.ints([rows, -1]))
    g.remember(_key(x, axes), (read,))
    product = add_bias(g, node, g.op("MatMul", matrix(g, w), read), rank=2)
    return batch_first(g, g.op("Reshape", product, g.ints([0, *(axis.out for axis in axes), -1])))


def weight_gradient(node: Node, g: Graph, axes: tuple[Axis, Axis]) -> Value:
    """Dw of ConvGrad(dy, x, w)."""
    dy, x = node.inputs[:2]
    (read,) = g.recall(_key(x, axes))
    dw = g.op("Gemm", matrix(g, batch_last(g, dy)), read, transB=1)
    return g.op("Reshape", dw, g.ints([int(size) for size in node.input_shape(2)]))


def _key(x: Value, axes: tuple[Axis, Axis]) -> str:
    return f"narrow/{x}/{axes}"
