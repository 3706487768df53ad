"""Operators whose gradient onnxruntime-training 1.19.2 builds wrongly, in a form in which it builds it rightly."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

import numpy as np

from pipeline.graphs.graph import Graph, Value
from pipeline.graphs.node import Node, decorator_of

# What the outputs become, "" for one that nothing reads; None where the operator may stay.
Correction = Callable[[Node, Graph], tuple[Value, ...] | None]

CORRECTIONS: dict[str, Correction] = {}
corrects = decorator_of(CORRECTIONS)


@corrects("Where")
def where(node: Node, g: Graph) -> tuple[Value, ...] | None:
    """Where(condition, a, b): a and b in the result's shape, as the gradient is not summed over broadcast axes."""
    condition, *branches = node.inputs
    known = node.output_shapes[0]
    narrow = [
        not _is_constant(g, branch) and (known is None or shape != known)
        for branch, shape in zip(branches, node.input_shapes[1:], strict=True)
    ]
    if not any(narrow):
        return None
    shape = g.op("Shape", g.op("Where", condition, *branches))
    wide = [g.op("Expand", b, shape) if is_narrow else b for b, is_narrow in zip(branches, narrow, strict=True)]
    return (g.op("Where", condition, *wide),)


@corrects("Concat")
def concat(node: Node, g: Graph) -> tuple[Value, ...] | None:
    """Concat(x…) of copies: where x trains nothing, as the image, the gradient of another reader has the same name."""
    return (g.op("Concat", *(g.op("Identity", x) for x in node.inputs), axis=int(node.attributes["axis"])),)


@corrects("Split")
def split(node: Node, g: Graph) -> tuple[Value, ...] | None:
    """Split(x) of which a part is not used: a Slice for each other, as the gradient takes them for all of x."""
    if all(node.outputs):
        return None
    axis = int(node.attributes.get("axis", 0))
    ends = list(accumulate(int(node.output_shape(index)[axis]) for index in range(len(node.outputs))))
    return tuple(
        g.op("Slice", node.inputs[0], g.ints([start]), g.ints([end]), g.ints([axis])) if output else ""
        for output, start, end in zip(node.outputs, [0, *ends], ends, strict=False)
    )


@corrects("Pow")
def power(node: Node, g: Graph) -> tuple[Value, ...] | None:
    """Pow(base, exponent) with a computed or trained exponent: e^(exponent × log base), for a base above 0."""
    base, exponent = node.inputs
    if node.input_shapes[1] == () or _is_constant(g, exponent):
        return None
    return (g.op("Exp", g.op("Mul", exponent, g.op("Log", base))),)


@corrects("LayerNormalization")
def layer_normalization(node: Node, g: Graph) -> tuple[Value, ...] | None:
    """LayerNormalization(x, scale, [bias]) with bias, mean and 1/std, which the gradient reads unasked."""
    x, scale, *bias = node.inputs
    given = bias[0] if bias and bias[0] else g.floats(np.zeros(node.input_shape(1)))
    return g.ops("LayerNormalization", x, scale, given, outputs=3, **node.attributes)


@corrects("ReduceL2", "ReduceLogSumExp")
def norm(node: Node, g: Graph) -> tuple[Value, ...] | None:
    """ReduceL2(x) that drops its axes: kept, then squeezed, as the gradient is an invalid graph."""
    if node.attributes.get("keepdims", 1):
        return None
    axes = list(node.attributes.get("axes", range(len(node.input_shape(0)))))
    return (g.op("Squeeze", g.op(node.op_type, node.inputs[0], axes=axes, keepdims=1), g.ints(axes)),)


@corrects("Pad")
def pad(node: Node, g: Graph) -> tuple[Value, ...] | None:
    """Pad(x, pads) by reflection or repetition: a Gather along each axis of what the same Pad makes of its indices."""
    mode = node.attributes.get("mode", b"constant").decode()
    if mode == "constant":
        return None
    value, pads = node.inputs[:2]
    shape = node.input_shape(0)
    # The batch is never padded.
    for axis, size in enumerate(shape[1:], 1):
        own = g.op("Gather", pads, g.ints([axis, len(shape) + axis]))
        indices = g.ints(np.arange(size)) if isinstance(size, int) else _indices(g, node.inputs[0], axis)
        value = g.op("Gather", value, g.op("Pad", indices, own, mode=mode), axis=axis)
    return (value,)


@corrects("Dropout")
def dropout(node: Node, g: Graph) -> tuple[Value, ...] | None:
    """Dropout(x, [ratio]): with its mask, which the gradient needs, and training; torch's attention has neither."""
    if len(node.outputs) > 1 and len(node.inputs) > 2:
        return None
    ratio = node.inputs[1] if len(node.inputs) > 1 and node.inputs[1] else g.floats(0.5)
    return g.ops("Dropout", node.inputs[0], ratio, g.constant(True, np.bool_), outputs=2)


def _indices(g: Graph, value: Value, axis: int) -> Value:
    """The numbers of the elements along an axis of unknown size."""
    size = g.op("Gather", g.op("Shape", value), g.ints(axis))
    return g.op("Range", g.ints(0), size, g.ints(1))


def _is_constant(g: Graph, value: Value) -> bool:
    return any(node.op_type == "Constant" and value in node.output for node in g.nodes)
