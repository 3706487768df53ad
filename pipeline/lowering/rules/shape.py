"""Gradients of what moves or repeats elements: concat, slice, gather, triangles, and scaling by a count."""

from __future__ import annotations

import math

import numpy as np
from onnx import TensorProto

from pipeline.graphs.graph import Graph, Value
from pipeline.graphs.node import Node
from pipeline.lowering.rules.pixel import spread
from pipeline.lowering.rules.registry import lowers

# Between N×C×H×W and N×H×W×C, there and back.
_CHANNELS = [0, 2, 3, 1], [0, 3, 1, 2]


@lowers("Scale")
def scale(node: Node, g: Graph) -> Value:
    """Scale(x, factor) → x × factor, or x / factor with `scale_down`: the gradient of a mean."""
    x, factor = node.inputs
    # With as many axes as x: by a factor with fewer, the runtime takes N×C×1×1 element by element.
    axes = len(node.input_shapes[0] or ())
    as_float = g.op("Reshape", g.op("Cast", factor, to=TensorProto.FLOAT), g.ints([1] * axes))
    scaled = g.op("Div" if node.attributes.get("scale_down", 0) else "Mul", x, as_float)
    g.remember(_scaled_key(scaled), (scaled,))
    return scaled


@lowers("Transpose")
def transpose(node: Node, g: Graph) -> Value:
    """Transpose(x) → y; of images between N×C×H×W and N×H×W×C, of matrices N×C×(H·W), in shapes of their own.

    The runtime would fuse it with the one by which the batch comes first, into one that moves element by element.
    """
    (x,) = node.inputs
    shape = node.input_shapes[0]
    perm = list(node.attributes.get("perm", []))
    if shape is None or perm not in _CHANNELS or not all(isinstance(size, int) for size in shape[1:]):
        return g.op("Transpose", x, **node.attributes)
    first, second, third = (int(size) for size in shape[1:])
    matrix, sizes = ([first, second * third], [second, third, first])
    if perm == _CHANNELS[1]:
        matrix, sizes = ([first * second, third], [third, first, second])
    turned = g.op("Transpose", g.op("Reshape", x, g.ints([-1, *matrix])), perm=[0, 2, 1])
    return g.op("Reshape", turned, g.ints([-1, *sizes]))


@lowers("ConcatTraining")
def concat_training(node: Node, g: Graph) -> tuple[Value, ...]:
    """ConcatTraining(x…) → y, and the length of each input along the axis for the gradient's split."""
    axis = int(node.attributes["axis"])
    y = g.op("Concat", *node.inputs, axis=axis)
    if not node.wants(1):
        return (y,)
    lengths = [node.input_shape(index)[axis] for index in range(len(node.inputs))]
    if all(isinstance(length, int) for length in lengths):
        return y, g.ints(lengths)
    # Along the batch: the lengths are known when the graph runs.
    rank = len(node.input_shape(0))
    ends = {"start": axis % rank, "end": axis % rank + 1}
    return y, g.op("Concat", *(g.op("Shape", x, **ends) for x in node.inputs), axis=0)


@lowers("SplitTraining")
def split_training(node: Node, g: Graph) -> tuple[Value, ...]:
    """SplitTraining(x, lengths) → one part for each length: the gradient of a concat."""
    axis = int(node.attributes.get("axis", 0))
    return g.ops("Split", *node.inputs, outputs=len(node.outputs), axis=axis)


@lowers("SliceGrad")
def slice_grad(node: Node, g: Graph) -> Value:
    """SliceGrad(dy, shape, starts, ends, [axes], [steps]) → dx: dy where it was cut out, 0 elsewhere."""
    dy, shape, *bounds = node.inputs
    size = g.op("ReduceProd", shape, keepdims=0)
    positions = g.op("Reshape", g.op("Range", g.ints(0), size, g.ints(1)), shape)
    cut = g.op("Reshape", g.op("Slice", positions, *bounds), g.ints([-1]))
    zeros = g.op("Expand", g.floats(0.0), g.op("Reshape", size, g.ints([1])))
    filled = g.op("ScatterElements", zeros, cut, g.op("Reshape", dy, g.ints([-1])), axis=0)
    return g.op("Reshape", filled, shape)


@lowers("GatherGrad")
def gather_grad(node: Node, g: Graph) -> Value:
    """GatherGrad(shape, indices, dy) → dx: gradients of the same row add up (an embedding)."""
    shape, indices, dy = node.inputs
    taken = len(node.input_shape(1))
    rank = len(node.input_shape(2)) - taken + 1
    axis = int(node.attributes.get("axis", 0)) % rank
    rows = g.op("Unsqueeze", indices, g.ints([-1]))
    if axis == 0:
        return g.op("ScatterND", g.op("Expand", g.floats(0.0), shape), rows, dy, reduction="add")
    # ScatterND takes rows of the first axis: the gathered axis goes there, and back.
    first = [axis, *range(axis), *range(axis + 1, rank)]
    gathered, before, after = range(axis, axis + taken), range(axis), range(axis + taken, rank + taken - 1)
    moved = g.op("Transpose", dy, perm=[*gathered, *before, *after])
    zeros = g.op("Expand", g.floats(0.0), g.op("Gather", shape, g.ints(first)))
    filled = g.op("ScatterND", zeros, rows, moved, reduction="add")
    return g.op("Transpose", filled, perm=[first.index(position) for position in range(rank)])


@lowers("GatherElementsGrad")
def gather_elements_grad(node: Node, g: Graph) -> Value:
    """GatherElementsGrad(dy, shape, indices) → dx: gradients of the same element add up; also that of TopK."""
    dy, shape, indices = node.inputs
    zeros = g.op("Expand", g.floats(0.0), shape)
    return g.op("ScatterElements", zeros, indices, dy, axis=int(node.attributes.get("axis", 0)), reduction="add")


@lowers("Trilu")
def trilu(node: Node, g: Graph) -> Value:
    """Trilu(x, [k]) → the triangle: the standard's operator under another name."""
    return g.op("Trilu", *node.inputs, **node.attributes)


@lowers("Expand")
def expand(node: Node, g: Graph) -> Value:
    """Expand(x, shape) → y; one pixel to a whole image, in the gradient of global pooling, as a product with ones."""
    images = spread(node, g)
    if images:
        return images
    shape, out = node.input_shapes[0], node.output_shapes[0]
    is_mean = g.recall_or_none(_scaled_key(node.inputs[0])) is not None
    if not is_mean or shape is None or out is None or not all(isinstance(size, int) for size in out[1:]):
        return g.op("Expand", *node.inputs)
    if len(out) < 3 or shape != (*out[:2], *[1] * len(out[2:])):
        return g.op("Expand", *node.inputs)
    pixels = math.prod(int(size) for size in out[2:])
    column = g.op("Reshape", node.inputs[0], g.ints([-1, 1]))
    return g.reshape(g.op("MatMul", column, g.floats(np.ones((1, pixels)))), out)


def _scaled_key(scaled: Value) -> str:
    """Under which `scale` notes what it made: the gradient of a mean, and so of floats."""
    return f"scaled/{scaled}"
