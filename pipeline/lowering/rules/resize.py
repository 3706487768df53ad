"""Resize and its gradient: nearest, linear and cubic, in every coordinate transformation.

Resize is linear and separable: along each axis it is one matrix. Resize itself, on the unit vectors, gives that matrix,
so the gradient knows of no mode; the runtime computes the matrices once, when it opens the graph.
"""

from __future__ import annotations

import math

import numpy as np

from pipeline.errors import LoweringError
from pipeline.graphs.graph import Graph, Shape, Value
from pipeline.graphs.node import Node
from pipeline.lowering.rules.registry import lowers

# Longer axes would make a product dearer than the runtime's Resize.
_SMALL = 64


@lowers("Resize")
def resize(node: Node, g: Graph) -> Value:
    """Resize(x N×C×H×W, roi, [scales], [sizes]) → y; a small linear one as products with its matrices.

    They take half the time of the runtime's Resize, whose own result they have.
    """
    shape, out = node.input_shapes[0], node.output_shapes[0]
    mapped = node.attributes.get("coordinate_transformation_mode", b"half_pixel") != b"tf_crop_and_resize"
    linear = node.attributes.get("mode") == b"linear" and not node.attributes.get("antialias", 0) and mapped
    if not linear or shape is None or out is None or shape[:2] != out[:2] or not _are_small((*shape[2:], *out[2:])):
        return g.op("Resize", *node.inputs, **node.attributes)
    y = node.inputs[0]
    for axis in range(2, len(shape)):
        matrix = _matrix(node, g, axis, int(shape[axis]), int(out[axis]), node.inputs[2])
        transposed = g.op("Transpose", matrix, perm=[1, 0])
        y = _multiply(g, transposed, y, (*out[:axis], *shape[axis:]), axis)
    return g.reshape(y, out)


@lowers("ResizeGrad")
def resize_grad(node: Node, g: Graph) -> Value:
    """ResizeGrad(dy N×C×OH×OW, x N×C×H×W, roi, [scales]) → dx: along each axis the transposed matrix of Resize."""
    dy_shape, shape = node.input_shape(0), node.input_shape(1)
    if dy_shape[:2] != shape[:2] or node.attributes["coordinate_transformation_mode"] == b"tf_crop_and_resize":
        raise LoweringError(
            f"Resize (node {node.name!r}) of the batch or the channels, or of a crop, cannot be lowered"
        )
    gradient, scales = node.inputs[0], node.inputs[3] if len(node.inputs) > 3 else ""
    for axis in range(2, len(shape)):
        matrix = _matrix(node, g, axis, int(shape[axis]), int(dy_shape[axis]), scales)
        gradient = _multiply(g, matrix, gradient, (*shape[:axis], *dy_shape[axis:]), axis)
    return g.reshape(gradient, shape)


def _are_small(sizes: Shape) -> bool:
    return all(isinstance(size, int) and size <= _SMALL for size in sizes)


def _matrix(node: Node, g: Graph, axis: int, size: int, out: int, scales: Value) -> Value:
    """float32 size×out: what each input along the axis gives to each output."""
    units = g.floats(np.eye(size)[None, None])
    if scales:
        scale = g.op("Slice", scales, g.ints([axis]), g.ints([axis + 1]))
        resized = g.op("Resize", units, "", g.op("Concat", g.floats([1, 1, 1]), scale, axis=0), **node.attributes)
    else:
        resized = g.op("Resize", units, "", "", g.ints([1, 1, size, out]), **node.attributes)
    return g.op("Reshape", resized, g.ints([size, out]))


def _multiply(g: Graph, matrix: Value, images: Value, shape: Shape, axis: int) -> Value:
    """Multiplies the matrix with the images, whose shape is `shape`, along an axis."""
    length, inner = int(shape[axis]), math.prod(int(size) for size in shape[axis + 1 :])
    if inner == 1:
        rows = g.op("Reshape", images, g.ints([-1, length]))
        return g.op("MatMul", rows, g.op("Transpose", matrix, perm=[1, 0]))
    columns = g.op("Reshape", images, g.ints([-1, length, inner]))
    return g.op("MatMul", matrix, columns)
