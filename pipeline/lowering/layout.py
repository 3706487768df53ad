"""Images with the batch as their innermost axis, C×H×W×N, beside N×C×H×W.

In that order a convolution is a product for the whole batch, and what a kernel reads moves in runs of N floats. A rule
that finds or makes an image in it goes on in it; the other order is written too, and left out where nobody reads it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pipeline.lowering.graph import Graph, Shape, Value
from pipeline.lowering.rules import Node
from pipeline.lowering.windows import Axis

Pair = tuple[int, int]

# Operators whose result has, element by element, the order of their inputs.
ELEMENTWISE = frozenset(
    {
        *("Relu", "ReluGrad", "LeakyRelu", "LeakyReluGrad", "Clip", "Sigmoid", "SigmoidGrad", "Tanh", "TanhGrad"),
        *("Add", "Sum", "Sub", "Mul", "Div", "Neg", "Abs", "Exp", "Log", "Sqrt", "Pow", "Where", "Cast"),
        *("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Not"),
    }
)


def batch_last(g: Graph, images: Value) -> Value:
    """N×C×H×W as C×H×W×N."""
    return known_batch_last(g, images) or g.op("Transpose", images, perm=[1, 2, 3, 0])


def known_batch_last(g: Graph, images: Value) -> Value | None:
    """The same where it is there already."""
    known = g.recall_or_none(_key(images))
    return known[0] if known else None


def batch_first(g: Graph, images: Value) -> Value:
    """C×H×W×N as N×C×H×W; whoever reads the result finds `images` by `known_batch_last`."""
    turned = g.op("Transpose", images, perm=[3, 0, 1, 2])
    g.remember(_key(turned), (images,))
    return turned


def matrix(g: Graph, value: Value) -> Value:
    """The first axis by all others."""
    return g.op("Reshape", value, g.ints([0, -1]))


def add_bias(g: Graph, node: Node, product: Value, rank: int = 4) -> Value:
    """The third input of a Conv, where it has one, added along the first axis of `product`, which has `rank` axes."""
    if len(node.inputs) < 3 or not node.inputs[2]:
        return product
    return g.op("Add", product, g.op("Reshape", node.inputs[2], g.ints([-1, *[1] * (rank - 1)])))


def pick(g: Graph, images: Value, axes: tuple[Axis, Axis]) -> Value:
    """What windows read of C×H×W×N, zeros in the padding: C × taps × (places · N), rows before columns in both."""
    size = axes[0].size, axes[1].size
    rows, columns = np.broadcast_arrays(axes[0].reads()[:, None, :, None], axes[1].reads()[None, :, None, :])
    inside = (rows >= 0) & (rows < size[0]) & (columns >= 0) & (columns < size[1])
    # One pixel of zeros behind the image stands for all that is outside.
    indices = np.where(inside, rows * size[1] + columns, math.prod(size))
    pixels = g.op("Reshape", images, g.ints([0, math.prod(size), -1]))
    if not inside.all():
        pixels = g.op("Pad", pixels, g.ints([0, 0, 0, 0, 1, 0]))
    picked = g.op("Gather", pixels, g.ints(indices.ravel()), axis=1)
    return g.op("Reshape", picked, g.ints([0, axes[0].kernel * axes[1].kernel, -1]))


def common_shape(g: Graph, op_type: str, inputs: Sequence[Value], shapes: Sequence[Shape | None]) -> Shape | None:
    """The shape of all images that an elementwise operator reads, where one of them is there in C×H×W×N.

    None for any other operator, where images differ in shape, or a shape is unknown.
    """
    if op_type not in ELEMENTWISE or not any(known_batch_last(g, value) for value in inputs):
        return None
    images = {shape for value, shape in zip(inputs, shapes, strict=True) if value and not _is_scalar(shape)}
    return images.pop() if len(images) == 1 else None


def all_batch_last(g: Graph, inputs: Sequence[Value], shapes: Sequence[Shape | None]) -> list[Value]:
    """The inputs of an elementwise operator, images in C×H×W×N."""
    return [
        value if not value or _is_scalar(shape) else batch_last(g, value)
        for value, shape in zip(inputs, shapes, strict=True)
    ]


def _is_scalar(shape: Shape | None) -> bool:
    """Whether an operand of this shape, broadcast, leaves an image's shape as it is in either order."""
    return shape is not None and len(shape) <= 4 and all(size == 1 for size in shape)


def _key(images: Value) -> str:
    return f"batch last/{images}"
