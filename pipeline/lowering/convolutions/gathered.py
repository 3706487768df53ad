"""Convolution by one product for the whole batch, with what its kernel reads at every output (im2col).

That matrix is gathered with the batch innermost. The weights are the other factor as they lie, forward and in both
gradients, and so is the gradient that comes out. The matrix is kept for the weights' gradient.
"""

from __future__ import annotations

import math

import numpy as np

from pipeline.graphs.graph import Graph, Value
from pipeline.graphs.node import Node
from pipeline.lowering.convolutions.layout import add_bias, batch_first, batch_last, matrix, pick
from pipeline.lowering.convolutions.windows import Axis


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


def input_gradient(node: Node, g: Graph, axes: tuple[Axis, Axis]) -> Value:
    """Dx of ConvGrad(dy, x, w): the gradient of all that was read, summed for each pixel (col2im)."""
    dy, _, w = node.inputs[:3]
    channels = int(node.input_shape(1)[1])
    read = g.op("Gemm", matrix(g, w), matrix(g, batch_last(g, dy)), transA=1)
    readers = _readers(axes)
    count = math.prod(axis.kernel * axis.out for axis in axes)
    by_place = g.op("Reshape", read, g.ints([channels, count, -1]))
    if (readers == count).any():
        # A row of zeros behind the others stands for windows that are not there.
        by_place = g.op("Pad", by_place, g.ints([0, 0, 0, 0, 1, 0]))
    if not np.array_equal(readers.ravel(), np.arange(count)):
        by_place = g.op("Gather", by_place, g.ints(readers.ravel()), axis=1)
    if len(readers) > 1:
        by_reader = g.op("Reshape", by_place, g.ints([channels, len(readers), -1]))
        by_place = g.sum(by_reader, [1])
    return batch_first(g, g.op("Reshape", by_place, g.ints([channels, *(axis.size for axis in axes), -1])))


def _readers(axes: tuple[Axis, Axis]) -> np.ndarray:
    """By which tap for which output each pixel is read, as places in taps × outputs: (most readers of one) × (H · W).

    The place behind the last where a pixel has fewer readers.
    """
    rows, columns = (axis.reads() for axis in axes)
    inside = ((rows >= 0) & (rows < axes[0].size))[:, None, :, None]
    inside = inside & ((columns >= 0) & (columns < axes[1].size))[None, :, None, :]
    pixels = (rows[:, None, :, None] * axes[1].size + columns[None, :, None, :])[inside]
    places = np.arange(inside.size)[inside.ravel()]
    order = np.argsort(pixels, kind="stable")
    pixels, places = pixels[order], places[order]
    counts = np.bincount(pixels, minlength=axes[0].size * axes[1].size)
    readers = np.full((max(int(counts.max()), 1), len(counts)), inside.size)
    readers[np.arange(len(pixels)) - np.repeat(np.cumsum(counts) - counts, counts), pixels] = places
    return readers


def _key(x: Value, axes: tuple[Axis, Axis]) -> str:
    return f"gathered/{x}/{axes}"
