"""Convolution, ReLU and max pooling as one matrix product for all positions in the pooling window.

Where the windows tile the output, each pooled pixel sees one patch of the input: kernel + window − 1 pixels along each
axis. The patches are gathered once (im2col, Chellapilla et al., 2006), and one product with the weights, placed at each
position ("phase") of the window with zeros around, gives the convolution's outputs of every phase; pooling is the
element-wise maximum of the phases, without a pooling operator. The backward pass finds the first maximum of each window
by comparing phases in order and reuses patches and placed weights: one product gives the weights' gradient, another
those of the patches, which are summed to the input's where they overlap (col2im).
The batch is the innermost axis inside, so that the runtime gathers runs of N floats.

Against Conv, MaxPool and the gradient as a convolution, LeNet's step takes half the time (docs/decisions.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.graphs.graph import Graph, Shape, Value
from pipeline.graphs.node import Node
from pipeline.lowering.convolutions.layout import add_bias, batch_first, batch_last, pick
from pipeline.lowering.convolutions.windows import Axis
from pipeline.lowering.rules.first_maximum import to_first_maximum
from pipeline.lowering.rules.registry import lowers

FORWARD, BACKWARD = "PooledConv", "PooledConvGrad"


@dataclass(frozen=True)
class Sizes:
    """Sizes of one pooled convolution: input C×H×W, kernel M×C×KH×KW, pooled output M×PH×PW."""

    channels: int
    height: int
    width: int
    out_channels: int
    kernel: tuple[int, int]
    window: tuple[int, int]

    @classmethod
    def of(cls, x: Shape, w: Shape, window: Sequence[int]) -> Sizes:
        channels, height, width = (int(size) for size in x[1:])
        out_channels, _, *kernel = (int(size) for size in w)
        return cls(channels, height, width, out_channels, (kernel[0], kernel[1]), (window[0], window[1]))

    @property
    def pooled(self) -> tuple[int, int]:
        return (
            (self.height - self.kernel[0] + 1) // self.window[0],
            (self.width - self.kernel[1] + 1) // self.window[1],
        )

    @property
    def phases(self) -> int:
        """Positions in a pooling window."""
        return math.prod(self.window)

    @property
    def patch(self) -> tuple[int, int]:
        """Rows and columns of the input that one pooled pixel depends on."""
        return self.kernel[0] + self.window[0] - 1, self.kernel[1] + self.window[1] - 1

    @property
    def taps(self) -> int:
        """Rows of the patch matrix."""
        return self.channels * math.prod(self.patch)

    @property
    def columns(self) -> int:
        """Elements of the patch matrix for one image."""
        return self.taps * math.prod(self.pooled)

    def patches(self) -> tuple[Axis, Axis]:
        """The patches as windows over the rows and the columns of the input."""
        return (
            Axis(self.height, self.pooled[0], self.patch[0], self.window[0]),
            Axis(self.width, self.pooled[1], self.patch[1], self.window[1]),
        )

    def readers(self) -> np.ndarray:
        """Where the patch matrix, C × patch × places, holds each pixel, or the row behind it: windows × (C · H · W)."""
        shape = self.channels, *self.patch, *self.pooled
        (row_taps, rows), (column_taps, columns) = (axis.readers() for axis in self.patches())
        # Axes: windows that read a row, windows that read a column, channels, rows, columns.
        row_taps, rows = (values[:, None, None, :, None] for values in (row_taps, rows))
        column_taps, columns = (values[None, :, None, None, :] for values in (column_taps, columns))
        channels = np.arange(self.channels)[:, None, None]
        at = np.ravel_multi_index((channels, row_taps, column_taps, rows, columns), shape, mode="clip")
        inside = (row_taps >= 0) & (column_taps >= 0)
        return np.where(inside, at, math.prod(shape)).reshape(-1, self.channels * self.height * self.width)

    def placement(self) -> np.ndarray:
        """Where each tap of the kernel lies in the patch in each phase: 0 or 1, float32, (KH·KW) × phases × patch."""
        tap_rows, tap_columns, at_rows, at_columns = np.ix_(*map(range, (*self.kernel, *self.window)))
        tap = tap_rows * self.kernel[1] + tap_columns
        phase = at_rows * self.window[1] + at_columns
        place = (at_rows + tap_rows) * self.patch[1] + at_columns + tap_columns
        placement = np.zeros((math.prod(self.kernel), self.phases, math.prod(self.patch)), np.float32)
        placement[tap, phase, place] = 1
        return placement


@lowers(FORWARD)
def pooled_conv(node: Node, g: Graph) -> tuple[Value, ...]:
    """PooledConv(x N×C×H×W, w M×C×KH×KW, [b M]) → y N×M×PH×PW, and the gradient's key to the patches."""
    sizes = Sizes.of(node.input_shape(0), node.input_shape(1), node.attributes["window"])
    picked = pick(g, node.inputs[0], sizes.patches())
    # C × patch × (PH · PW · N) as a matrix of taps × (PH · PW · N): the order in memory is already that one.
    patches = g.op("Reshape", picked, g.ints([sizes.taps, -1]))
    weights = _stacked_weights(g, node.inputs[1], sizes)
    products = g.op("MatMul", weights, patches)
    phases = g.ops("Split", products, outputs=sizes.phases, axis=0)
    maximum = g.op("Max", *phases)
    y = add_bias(g, node, maximum, rank=2)
    if node.attributes["relu"]:
        y = g.op("Relu", y)
    g.remember(node.outputs[1], (maximum, y, patches, weights, *phases))
    shaped = g.op("Reshape", y, g.ints([sizes.out_channels, *sizes.pooled, -1]))
    return batch_first(g, shaped), node.outputs[1]


@lowers(BACKWARD)
def pooled_conv_grad(node: Node, g: Graph) -> tuple[Value, ...]:
    """PooledConvGrad(dy N×M×PH×PW, patches, x, w) → dx, dw, db."""
    dy, handle, _, _ = node.inputs
    sizes = Sizes.of(node.input_shape(2), node.input_shape(3), node.attributes["window"])
    maximum, y, patches, weights, *phases = g.recall(handle)
    gradient = g.op("Reshape", batch_last(g, dy), g.ints([sizes.out_channels, -1]))
    if node.attributes["relu"]:
        gradient = g.where_positive(y, gradient)
    db = g.sum(gradient, [1]) if node.wants(2) else ""
    stacked = g.op("Concat", *to_first_maximum(g, gradient, phases, maximum), axis=0)
    return (
        _input_gradient(g, stacked, weights, sizes) if node.wants(0) else "",
        _weight_gradient(g, stacked, patches, sizes),
        db,
    )


def _stacked_weights(g: Graph, w: Value, sizes: Sizes) -> Value:
    """The weights at their places in the patch in each phase, zeros elsewhere: (phases · M) × (C · patch)."""
    kernels = g.op("Reshape", w, g.ints([sizes.out_channels * sizes.channels, -1]))
    placement = sizes.placement()
    # A product with a constant moves them faster than Gather, Pad or ScatterND.
    placed = g.op("MatMul", kernels, g.floats(placement.reshape(len(placement), -1)))
    by_phase = g.op("Reshape", placed, g.ints([sizes.out_channels, sizes.channels, sizes.phases, -1]))
    return g.op("Reshape", g.op("Transpose", by_phase, perm=[2, 0, 1, 3]), g.ints([-1, sizes.taps]))


def _weight_gradient(g: Graph, stacked: Value, patches: Value, sizes: Sizes) -> Value:
    """The gradients at each place of a weight, (C · patch) × (phases · M), summed where they are of the same weight."""
    # The runtime is faster at this product than at its transpose.
    placed = g.op("Gemm", patches, stacked, transB=1)
    by_channel = g.op("Reshape", placed, g.ints([sizes.channels, -1, sizes.out_channels]))
    placement = sizes.placement().swapaxes(1, 2)
    kernels = g.op("MatMul", g.floats(placement.reshape(len(placement), -1)), by_channel)
    turned = g.op("Transpose", g.op("Reshape", kernels, g.ints([-1, sizes.out_channels])), perm=[1, 0])
    return g.op("Reshape", turned, g.ints([sizes.out_channels, sizes.channels, *sizes.kernel]))


def _input_gradient(g: Graph, stacked: Value, weights: Value, sizes: Sizes) -> Value:
    """The gradients of the patches, each pixel's summed (col2im): what the windows that read it hold of it."""
    columns = g.op("Pad", g.op("Transpose", weights, perm=[1, 0]), g.ints([0, 0, 1, 0]))
    # A row of zeros behind the others stands for windows that are not there.
    rows = g.op("Reshape", g.op("MatMul", columns, stacked), g.ints([(sizes.taps + 1) * math.prod(sizes.pooled), -1]))
    readers = sizes.readers()
    gathered = g.op("Reshape", g.op("Gather", rows, g.ints(readers.ravel()), axis=0), g.ints([len(readers), -1]))
    # A product with ones takes half the time of a Sum, and all threads.
    summed = g.op("MatMul", g.floats(np.ones((1, len(readers)))), gathered)
    return batch_first(g, g.op("Reshape", summed, g.ints([sizes.channels, sizes.height, sizes.width, -1])))
