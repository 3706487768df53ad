"""Pooling and its gradients.

onnxruntime-training's MaxPool hands the positions of the maxima to MaxPoolGrad, which scatters. The runtime's MaxPool
with positions is an order of magnitude slower than the one without, so the common pooling, whose windows tile the
input, finds the maxima again by comparison. The gradient goes to the first maximum of a window alone, in row-major
order, as in torch and onnxruntime-training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pipeline.lowering.graph import Graph, Shape, Value
from pipeline.lowering.rules import Node, lowers
from pipeline.lowering.windows import pads_of


@lowers("MaxPool")
def max_pool(node: Node, g: Graph) -> tuple[Value, ...]:
    """MaxPool(x) → y, indices; where the windows tile the input, `indices` carries x and y to the gradient instead."""
    x = node.inputs[0]
    if not node.wants(1):
        return (g.op("MaxPool", x, **node.attributes),)
    if not _tiles(node, node.input_shape(0)):
        return g.ops("MaxPool", x, outputs=2, **node.attributes)
    y = g.op("MaxPool", x, **node.attributes)
    g.remember(node.outputs[1], (x, y))
    return y, node.outputs[1]


@lowers("MaxPoolGrad")
def max_pool_grad(node: Node, g: Graph) -> Value:
    """MaxPoolGrad(dy, indices) → dx."""
    dy, indices = node.inputs
    shape = node.output_shape(0)
    if not _tiles(node, shape):
        return _scatter(g, dy, indices, shape)
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
    size, outputs = ([int(s) for s in shape[2:]] for shape in (node.input_shape(0), node.output_shape(0)))
    kernel = list(node.attributes["kernel_shape"])
    strides = list(node.attributes.get("strides", [1] * len(kernel)))
    begins, ends = pads_of(node.attributes, size, kernel, strides)
    counts = _window_sizes(size, outputs, kernel, strides, (begins, ends), True)
    over = [
        (out - 1) * stride + k - begin - total
        for out, stride, k, begin, total in zip(outputs, strides, kernel, begins, size, strict=True)
    ]
    averages = g.op(
        "AveragePool",
        node.inputs[0],
        kernel_shape=kernel,
        strides=strides,
        pads=[*begins, *(max(end, 0) for end in over)],
        count_include_pad=1,
    )
    return g.op("Mul", averages, g.floats(math.prod(kernel) / counts[None, None]))


@lowers("AveragePoolGrad")
def average_pool_grad(node: Node, g: Graph) -> Value:
    """AveragePoolGrad(dy) → dx: each gradient, divided by its window's size, spread over the window."""
    shape = node.output_shape(0)
    size, channels = [int(s) for s in shape[2:]], int(shape[1])
    kernel = list(node.attributes["kernel_shape"])
    strides = list(node.attributes.get("strides", [1] * len(kernel)))
    begins, ends = pads_of(node.attributes, size, kernel, strides)
    outputs = [int(s) for s in node.input_shape(0)[2:]]
    with_pads = bool(node.attributes.get("count_include_pad", 0))
    counts = _window_sizes(size, outputs, kernel, strides, (begins, ends), with_pads)
    share = g.op("Div", node.inputs[0], g.floats(counts[None, None]))
    # What the last window leaves over at the end, or reaches beyond it where ceil_mode let it.
    rests = [
        total + begin + end - ((out - 1) * stride + k)
        for total, begin, end, out, stride, k in zip(size, begins, ends, outputs, strides, kernel, strict=True)
    ]
    return g.op(
        "ConvTranspose",
        share,
        g.floats(np.ones((channels, 1, *kernel))),
        kernel_shape=kernel,
        strides=strides,
        pads=[*begins, *(end - min(rest, 0) for end, rest in zip(ends, rests, strict=True))],
        output_padding=[max(rest, 0) for rest in rests],
        group=channels,
    )


def _window_sizes(
    size: Sequence[int],
    outputs: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: tuple[Sequence[int], Sequence[int]],
    with_pads: bool,
) -> np.ndarray:
    """What each output was divided by: the input pixels in its window, with the padding's where they count."""
    counts = np.ones((), np.float32)
    for total, out, k, stride, begin, end in zip(size, outputs, kernel, strides, *pads, strict=True):
        low, high = (0, total + begin + end) if with_pads else (begin, begin + total)
        starts = np.arange(out) * stride
        inside = np.minimum(starts + k, high) - np.maximum(starts, low)
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
