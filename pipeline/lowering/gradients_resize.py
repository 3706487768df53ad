"""Gradient of Resize: nearest, linear and cubic, in every coordinate transformation.

Resize is linear and separable: along each axis it is one matrix. Resize itself, on the unit vectors, gives that matrix,
so the gradient knows of no mode; the runtime computes the matrices once, when it opens the graph.
"""

from __future__ import annotations

import math

import numpy as np

from pipeline.errors import LoweringError
from pipeline.lowering.graph import Graph, Shape, Value
from pipeline.lowering.rules import Node, lowers


@lowers("ResizeGrad")
def resize_grad(node: Node, g: Graph) -> Value:
    """ResizeGrad(dy N×C×OH×OW, x N×C×H×W, roi, [scales]) → dx: along each axis the transposed matrix of Resize."""
    dy_shape, shape = node.input_shape(0), node.input_shape(1)
    if dy_shape[:2] != shape[:2] or node.attributes["coordinate_transformation_mode"] == b"tf_crop_and_resize":
        raise LoweringError(
            f"Resize (node {node.name!r}) of the batch or the channels, or of a crop, cannot be lowered"
        )
    gradient = node.inputs[0]
    for axis in range(2, len(shape)):
        matrix = _matrix(node, g, axis, int(shape[axis]), int(dy_shape[axis]))
        gradient = _multiply(g, matrix, gradient, (*shape[:axis], *dy_shape[axis:]), axis)
    return g.reshape(gradient, shape)


def _matrix(node: Node, g: Graph, axis: int, size: int, out: int) -> Value:
    """float32 size×out: what each input along the axis gives to each output."""
    units = g.floats(np.eye(size)[None, None])
    if len(node.inputs) > 3 and node.inputs[3]:
        scale = g.op("Slice", node.inputs[3], g.ints([axis]), g.ints([axis + 1]))
        resized = g.op("Resize", units, "", g.op("Concat", g.floats([1, 1, 1]), scale, axis=0), **node.attributes)
    else:
        resized = g.op("Resize", units, "", "", g.ints([1, 1, size, out]), **node.attributes)
    return g.op("Reshape", resized, g.ints([size, out]))


def _multiply(g: Graph, matrix: Value, gradient: Value, shape: Shape, axis: int) -> Value:
    """Multiplies the matrix with the gradient, whose shape is `shape`, along an axis."""
    inner = math.prod(int(length) for length in shape[axis + 1 :])
    columns = g.op("Reshape", gradient, g.ints([-1, int(shape[axis]), inner]))
    return g.op("MatMul", matrix, columns)
