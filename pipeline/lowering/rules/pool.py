"""Pooling and its gradients.

onnxruntime-training's MaxPool hands the positions of the maxima to MaxPoolGrad, which scatters. The runtime's MaxPool
with positions is an order of magnitude slower than the one without, so pooling whose windows tile the input finds the
maxima again by comparison, and so does that of images otherwise (`overlapping_pool`). The gradient goes to the first
maximum of a window alone, in row-major order, as in torch and onnxruntime-training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pipeline.graphs.graph import Graph, Shape, Value
from pipeline.graphs.node import Node
from pipeline.lowering.convolutions.windows import Axis, axes_of, transposed
from pipeline.lowering.rules import overlapping_pool
from pipeline.lowering.rules.registry import lowers


@lowers("MaxPool")
def max_pool(node: Node, g: Graph) -> tuple[Value, ...]:
    """MaxPool(x) → y, indices; where the windows tile the input, `indices` carries x and y to the gradient instead.

    Of one whose indices alone are read they are positions.
    """
    x = node.inputs[0]
    if not node.wants(0):
        return "", g.ops("MaxPool", x, outputs=2, **node.attributes)[1]
    if not node.wants(1):
        return (g.op("MaxPool", x, **node.attributes),)
    shape = node.input_shape(0)
    if not _tiles(node, shape):
        axes = _image_axes(node, shape, node.output_shapes[0])
        if axes is None:
            return g.ops("MaxPool", x, outputs=2, **node.attributes)
        return overlapping_pool.pool(g, x, shape, axes, node.outputs[1]), node.outputs[1]
    y = g.op("MaxPool", x, **node.attributes)
    g.remember(node.outputs[1], (x, y))
    return y, node.outputs[1]


@lowers("MaxPoolGrad")
def max_pool_grad(node: Node, g: Graph) -> Value:
    """MaxPoolGrad(dy, indices) → dx."""
    dy, indices = node.inputs
    shape = node.output_shape(0)
    if g.recall_or_none(indices) is None:
        return _scatter(g, dy, indices, shape)
    if not _tiles(node, shape):
        return overlapping_pool.pool_gradient(g, dy, shape, indices)
    x, y = g.recall(indices)
    window = tuple(node.attributes["kernel_shape"])
    upscale = [1.0, 1.0, *(float(size) for size in window)]
    is_maximum = g.op("Equal", x, _repeat(g, y, upscale))
    # Where maxima tie, the rank (higher is earlier) decides: only the window's highest rank keeps the gradient.
    ranks = g.op("Where", is_maximum, g.floats(_ranks(window, shape)), g.floats(0.0))
    first = _repeat(g, g.op("MaxPool", ranks, kernel_shape=window, strides=window), upscale)
    return g.op("Where", g.op("Equal", ranks, first), _repeat(g, dy, upscale), g.floats(0.0))


@lowers("AveragePool")
def average_pool(node: Node, g: Graph) -> Value:
    """AveragePool(x) → y; a window that ceil_mode lets reach over the end counts only what is there, as in torch.

    ONNX Runtimes disagree on that where padding counts: there the whole windows are averaged over, then corrected.
    """
    if not (node.attributes.get("ceil_mode", 0) and node.attributes.get("count_include_pad", 0)):
        return g.op("AveragePool", node.inputs[0], **node.attributes)
    axes = _axes(node, node.input_shape(0), node.output_shape(0))
    averages = g.op(
        "AveragePool",
        node.inputs[0],
        kernel_shape=[axis.kernel for axis in axes],
        strides=[axis.stride for axis in axes],
        pads=[*(axis.begin for axis in axes), *(max(axis.read_end, 0) for axis in axes)],
        count_include_pad=1,
    )
    whole = math.prod(axis.kernel for axis in axes)
    return g.op("Mul", averages, g.floats(whole / _window_sizes(axes, with_pads=True)[None, None]))


@lowers("AveragePoolGrad")
def average_pool_grad(node: Node, g: Graph) -> Value:
    """AveragePoolGrad(dy) → dx: each gradient, divided by its window's size, spread over the window."""
    shape = node.output_shape(0)
    axes = _axes(node, shape, node.input_shape(0))
    counts = _window_sizes(axes, with_pads=bool(node.attributes.get("count_include_pad", 0)))
    share = g.op("Div", node.inputs[0], g.floats(counts[None, None]))
    channels = int(shape[1])
    ones = g.floats(np.ones((channels, 1, *(axis.kernel for axis in axes))))
    return g.op("ConvTranspose", share, ones, **transposed(axes), group=channels)


def _axes(node: Node, image: Shape, outputs: Shape) -> tuple[Axis, ...]:
    """The axes of pooling; with `ceil_mode` the last window may reach beyond the padding."""
    size, out = ([int(length) for length in shape[2:]] for shape in (image, outputs))
    return axes_of(node.attributes, size, node.attributes["kernel_shape"], out)


def _image_axes(node: Node, image: Shape, outputs: Shape | None) -> tuple[Axis, Axis] | None:
    """Rows and columns of the pooling of images of known size; None for any other."""
    if outputs is None or not all(isinstance(size, int) for shape in (image, outputs) for size in shape[1:]):
        return None
    axes = _axes(node, image, outputs)
    return (axes[0], axes[1]) if len(axes) == 2 else None


def _window_sizes(axes: Sequence[Axis], with_pads: bool) -> np.ndarray:
    """What each output was divided by: the input pixels in its window, with the padding's where they count."""
    counts = np.ones((), np.float32)
    for axis in axes:
        before, behind = (axis.begin, axis.end) if with_pads else (0, 0)
        reads = axis.reads()
        inside = ((reads >= -before) & (reads < axis.size + behind)).sum(axis=0)
        counts = counts[..., None] * inside.astype(np.float32)
    return counts


def _tiles(node: Node, shape: Shape) -> bool:
    window = list(node.attributes["kernel_shape"])
    return (
        list(node.attributes.get("strides", [1] * len(window))) == window
        and not any(node.attributes.get("pads", []))
        and all(dilation == 1 for dilation in node.attributes.get("dilations", []))
        and all(isinstance(size, int) and size % k == 0 for size, k in zip(shape[2:], window, strict=True))
    )


def _repeat(g: Graph, value: Value, upscale: list[float]) -> Value:
    return g.op(
        "Resize",
        value,
        "",
        g.floats(upscale),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def _ranks(window: tuple[int, ...], shape: Shape) -> np.ndarray:
    ranks = np.arange(math.prod(window), 0, -1, dtype=np.float32).reshape(window)
    counts = [int(size) // k for size, k in zip(shape[2:], window, strict=True)]
    return np.tile(ranks, counts)[None, None]


def _scatter(g: Graph, dy: Value, indices: Value, shape: Shape) -> Value:
    """Adds each gradient at its position in the flattened input."""
    flat = g.op("Reshape", dy, g.ints([-1]))
    positions = g.op("Reshape", indices, g.ints([-1]))
    image_size = g.ints([math.prod(int(size) for size in shape[1:])])
    batch = g.op("Slice", g.op("Shape", dy), g.ints([0]), g.ints([1]))
    zeros = g.op("Expand", g.floats(0.0), g.op("Mul", batch, image_size))
    return g.reshape(g.op("ScatterElements", zeros, positions, flat, axis=0, reduction="add"), shape)
