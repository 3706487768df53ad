"""Max pooling of images whose windows overlap or are padded, and its gradient, the batch innermost.

The runtime's MaxPool with positions takes an order of magnitude longer than the one without, and scattering runs on one
thread. Here the maximum of a window is that of its rows' maxima. The way back finds the row and then the column by
comparison: the first row that holds the maximum, and in it the first column, which is the first in row-major order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.graphs.graph import Graph, Shape, Value
from pipeline.lowering.convolutions.layout import batch_first, batch_last
from pipeline.lowering.convolutions.windows import Axis
from pipeline.lowering.rules.first_maximum import to_first_maximum

# Padding; no infinity, which some operators turn into NaN.
_LEAST = float(np.finfo(np.float32).min)


@dataclass(frozen=True)
class _Pooled:
    """Maxima along one axis of outer × size × inner.

    Attributes:
      taps: what each tap of the window reads, outer × out × inner.
      maximum: their maximum.
    """

    axis: Axis
    taps: tuple[Value, ...]
    maximum: Value


def pool(g: Graph, x: Value, shape: Shape, axes: tuple[Axis, Axis], handle: str) -> Value:
    """Images x (`shape`, N×C×H×W) → y N×C×OH×OW; what the gradient takes is left under `handle`."""
    (rows, columns), channels = axes, int(shape[1])
    by_row = g.op("Reshape", batch_last(g, x), g.ints([channels * rows.size, columns.size, -1]))
    along_columns = _pool(g, by_row, columns)
    by_channel = g.op("Reshape", along_columns.maximum, g.ints([channels, rows.size, -1]))
    along_rows = _pool(g, by_channel, rows)
    g.remember(handle, (along_columns, along_rows))
    return batch_first(g, g.op("Reshape", along_rows.maximum, g.ints([channels, rows.out, columns.out, -1])))


def pool_gradient(g: Graph, dy: Value, shape: Shape, handle: str) -> Value:
    """Dy → dx (`shape`, N×C×H×W)."""
    along_columns, along_rows = g.recall(handle)
    channels, height, width = (int(size) for size in shape[1:])
    by_channel = g.op("Reshape", batch_last(g, dy), g.ints([channels, along_rows.axis.out, -1]))
    by_row = g.op(
        "Reshape", _spread(g, by_channel, along_rows), g.ints([channels * height, along_columns.axis.out, -1])
    )
    dx = _spread(g, by_row, along_columns)
    return batch_first(g, g.op("Reshape", dx, g.ints([channels, height, width, -1])))


def _pool(g: Graph, x: Value, axis: Axis) -> _Pooled:
    padding = [0, axis.begin, 0, 0, max(axis.read_end, 0), 0]
    padded = g.op("Pad", x, g.ints(padding), g.floats(_LEAST)) if any(padding) else x
    taps = tuple(_cut(g, padded, read[0], read[-1] + 1, axis.stride) for read in axis.reads() + axis.begin)
    return _Pooled(axis, taps, g.op("Max", *taps) if len(taps) > 1 else taps[0])


def _spread(g: Graph, gradient: Value, pooled: _Pooled) -> Value:
    """Outer × out × inner → outer × size × inner: what the taps receive, each pixel's summed.

    Pixels lie as far apart as the stride in what one tap reads, so they are summed in as many phases.
    """
    axis = pooled.axis
    parts = to_first_maximum(g, gradient, pooled.taps, pooled.maximum)
    length = math.ceil(axis.size / axis.stride)
    phases: list[list[Value]] = [[] for _ in range(axis.stride)]
    for part, read in zip(parts, axis.reads(), strict=True):
        before, phase = divmod(int(read[0]), axis.stride)
        phases[phase].append(_moved(g, part, before, length, axis.out))
    # Pixels that no tap reads receive nothing.
    nothing = g.op("Mul", _moved(g, parts[0], 0, length, axis.out), g.floats(0.0))
    summed = [_sum(g, phase or [nothing]) for phase in phases]
    stacked = g.op("Concat", *(g.op("Unsqueeze", phase, g.ints([2])) for phase in summed), axis=2)
    # Outer × (size / stride) × stride × inner.
    pixels = g.op("Reshape", stacked, g.ints([0, length * axis.stride, -1]))
    return pixels if length * axis.stride == axis.size else _cut(g, pixels, 0, axis.size, 1)


def _moved(g: Graph, part: Value, before: int, length: int, out: int) -> Value:
    """`before` zeros before `part` along the second axis, or as many fewer of it, `length` in all."""
    start, end = max(-before, 0), min(out, length - before)
    cut = part if (start, end) == (0, out) else _cut(g, part, start, end, 1)
    zeros = [0, max(before, 0), 0, 0, length - before - end, 0]
    return g.op("Pad", cut, g.ints(zeros)) if any(zeros) else cut


def _cut(g: Graph, value: Value, start: int, end: int, step: int) -> Value:
    return g.op("Slice", value, g.ints([start]), g.ints([end]), g.ints([1]), g.ints([step]))


def _sum(g: Graph, values: list[Value]) -> Value:
    return g.op("Sum", *values) if len(values) > 1 else values[0]
