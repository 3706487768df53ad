"""Images of one pixel: what pools images with the batch last to it, and what spreads it again.

Squeeze and excitation multiplies by such a pixel; the gradient of a global mean adds one. Neither needs an image that
is the same everywhere, since what takes both broadcasts.
"""

from __future__ import annotations

from onnx import numpy_helper

from pipeline.graphs.graph import Graph, Shape, Value
from pipeline.graphs.node import Node
from pipeline.lowering.convolutions.layout import (
    batch_first,
    batch_last,
    is_batch_last,
    order_of,
    same_everywhere,
    uniform,
)
from pipeline.lowering.rules.registry import lowers


@lowers("GlobalAveragePool")
def global_average_pool(node: Node, g: Graph) -> Value:
    """GlobalAveragePool(x N×C×…) → N×C×1…."""
    [x] = node.inputs
    if not is_batch_last(g, x):
        return g.op("GlobalAveragePool", x)
    g.remember(_pooled_key(node.input_shape(0)), ())
    mean = g.op("ReduceMean", batch_last(g, x, order_of(g, x)), axes=[1, 2], keepdims=1)
    return batch_first(g, mean)


@lowers("ReduceSum")
def reduce_sum(node: Node, g: Graph) -> Value:
    """ReduceSum(x, [axes]); over the pixels of images with the batch last, in their order."""
    x = node.inputs[0]
    axes = g.constants.get(node.inputs[1]) if len(node.inputs) > 1 else None
    over_pixels = axes is not None and numpy_helper.to_array(axes).tolist() == [2, 3]
    if not over_pixels or not node.attributes.get("keepdims", 1) or not is_batch_last(g, x):
        return g.op("ReduceSum", *node.inputs, **node.attributes)
    return batch_first(g, g.sum(batch_last(g, x, order_of(g, x)), [1, 2], keepdims=True))


@lowers("Add")
def add(node: Node, g: Graph) -> Value:
    """Add(a, b); of an image that is the same everywhere, its pixel."""
    pixels = [uniform(g, value) for value in node.inputs]
    if all(pixels):
        return g.op("Add", *node.inputs)
    return g.op("Add", *(known[0] if known else value for value, known in zip(node.inputs, pixels, strict=True)))


@lowers("Div")
def div(node: Node, g: Graph) -> Value:
    """Div(a, b); of an image that is the same everywhere and a number, the quotient of its pixel everywhere."""
    known = uniform(g, node.inputs[0])
    divisor = node.input_shapes[1]
    if not known or divisor is None or any(size != 1 for size in divisor):
        return g.op("Div", *node.inputs)
    pixel, size = known
    return same_everywhere(g, g.op("Div", pixel, node.inputs[1]), size)


def spread(node: Node, g: Graph) -> Value | None:
    """Expand of one pixel to a whole image where that is to have the batch last; else None."""
    x, shape, out = node.inputs[0], node.input_shapes[0], node.output_shapes[0]
    if shape is None or out is None or len(out) != 4 or shape != (*out[:2], 1, 1):
        return None
    is_pooled = g.recall_or_none(_pooled_key(out)) is not None
    if not is_pooled or not all(isinstance(length, int) for length in out[1:]):
        return None
    height, width = (int(length) for length in out[2:])
    return batch_first(g, same_everywhere(g, batch_last(g, x), (height, width)))


def _pooled_key(shape: Shape) -> str:
    """Under which it is noted that images of this shape with the batch last were pooled: so their gradient has it."""
    return f"pooled/{shape[1:]}"
