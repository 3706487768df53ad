"""Gradients of what moves or repeats elements: concat, split, slice, gather, and scaling by a count."""

from __future__ import annotations

from onnx import TensorProto

from pipeline.errors import LoweringError
from pipeline.lowering.graph import Graph, Value
from pipeline.lowering.rules import Node, lowers


@lowers("Scale")
def scale(node: Node, g: Graph) -> Value:
    """Scale(x, factor) → x × factor, or x / factor with `scale_down`: the gradient of a mean."""
    x, factor = node.inputs
    as_float = g.op("Cast", factor, to=TensorProto.FLOAT)
    return g.op("Div" if node.attributes.get("scale_down", 0) else "Mul", x, as_float)


@lowers("ConcatTraining")
def concat_training(node: Node, g: Graph) -> tuple[Value, ...]:
    """ConcatTraining(x…) → y, and the length of each input along the axis for the gradient's split."""
    axis = int(node.attributes["axis"])
    y = g.op("Concat", *node.inputs, axis=axis)
    if not node.wants(1):
        return (y,)
    lengths = [node.input_shape(index)[axis] for index in range(len(node.inputs))]
    if not all(isinstance(length, int) for length in lengths):
        raise LoweringError(f"Concat (node {node.name!r}) along the batch cannot be lowered: use another axis")
    return y, g.ints(lengths)


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
    """GatherGrad(shape, indices, dy) → dx along the first axis: gradients of the same row add up (an embedding)."""
    shape, indices, dy = node.inputs
    if int(node.attributes.get("axis", 0)) != 0:
        raise LoweringError(
            f"Gather (node {node.name!r}) along another axis than 0 cannot be lowered: transpose before"
        )
    zeros = g.op("Expand", g.floats(0.0), shape)
    rows = g.op("Unsqueeze", indices, g.ints([-1]))
    return g.op("ScatterND", zeros, rows, dy, reduction="add")
