"""Depthwise convolution in matrix products.

ONNX Runtime convolves each channel of each image apart, and has no good form of the weights' gradient. Here the outputs
are cut into tiles of 4×4, and each tile depends on a patch of the input. The patches of a channel, of all tiles and
images, are one matrix, and a product with the channel's weights, placed in the patch for each pixel of the tile, gives
all outputs. The input's gradient is the same with inputs and outputs exchanged, and the weights' gradient is another
product with the patches. The batch is the innermost axis, as in `layout`.

Where the patches would take too much memory, the runtime's convolution has to do. The weights' gradient is then that of
rows: those of the output's gradient times those of the input give, for each row of the kernel, the sums of products of
any two columns; those whose distance is a tap's make up that tap's gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.graphs.graph import Graph, Shape, Value
from pipeline.graphs.node import Node
from pipeline.lowering.convolutions.layout import Order, Pair, add_bias, batch_first, from_tiles, matrix, pick
from pipeline.lowering.convolutions.windows import Axis, image_axes

# Rows and columns of a tile: its patch is then 2.25 times as large for a 3×3 kernel, and the product has 16 rows.
_TILE = 4

# Elements of all patches of one image: beyond, they take too much memory.
_PATCHES_LIMIT = 2**19


@dataclass(frozen=True)
class Tiles:
    """How one axis of a linear map is cut into tiles of outputs, each of which reads a patch of inputs.

    Attributes:
      outputs: the tiles as windows over the outputs, side by side.
      inputs: the patches as windows over the inputs.
      taps: whether a tap brings an output of the tile and an input of the patch together: 0 or 1, taps × tile × patch.
    """

    outputs: Axis
    inputs: Axis
    taps: np.ndarray


@dataclass(frozen=True)
class Depthwise:
    """A depthwise convolution of two spatial axes."""

    channels: int
    axes: tuple[Axis, Axis]

    @property
    def kernel(self) -> Pair:
        """Rows and columns."""
        rows, columns = self.axes
        return rows.kernel, columns.kernel

    @property
    def is_tiled(self) -> bool:
        """Whether its patches are small enough."""
        patches = (tiles.inputs for tiles in self.forward())
        elements: int = self.channels * math.prod(patch.kernel * patch.out for patch in patches)
        return elements <= _PATCHES_LIMIT

    def forward(self) -> tuple[Tiles, Tiles]:
        """From the input to the output."""
        rows, columns = self.axes
        return _forward(rows), _forward(columns)

    def backward(self) -> tuple[Tiles, Tiles]:
        """From the output's gradient to the input's."""
        rows, columns = self.axes
        return _backward(rows), _backward(columns)


def depthwise_of(node: Node, image: Shape | None, weights: Shape | None) -> Depthwise | None:
    """The convolution that `node` is, or whose gradient, from its operands' shapes; None where it is not depthwise."""
    axes = image_axes(node.attributes, image, weights)
    if axes is None or image is None or weights is None:
        return None
    group, channels, outputs = int(node.attributes.get("group", 1)), int(image[1]), int(weights[0])
    return Depthwise(channels, axes) if group == channels == outputs and channels > 1 else None


def convolve(node: Node, g: Graph, conv: Depthwise) -> Value:
    """Conv(x N×C×H×W, w C×1×KH×KW, [b C]) → y, tiled."""
    x, w = node.inputs[:2]
    tiles = conv.forward()
    patches = _patches(g, x, tiles)
    g.remember(_key(x, conv), (patches,))
    y, order = _multiply(g, w, patches, tiles)
    return batch_first(g, add_bias(g, node, y), order)


def input_gradient(g: Graph, conv: Depthwise, dy: Value, w: Value) -> Value:
    """dx, tiled."""
    tiles = conv.backward()
    return batch_first(g, *_multiply(g, w, _patches(g, dy, tiles), tiles))


def weight_gradient(g: Graph, conv: Depthwise, dy: Value, x: Value) -> Value:
    """dw, C×1×KH×KW."""
    taps = _taps_of_tiles(g, conv, dy, x) if conv.is_tiled else _taps_of_rows(g, conv, dy, x)
    return g.op("Reshape", taps, g.ints([conv.channels, 1, *conv.kernel]))


def _forward(axis: Axis) -> Tiles:
    tile = min(_TILE, axis.out)
    # The last outputs of the tile read the last inputs of the patch.
    one = Axis(0, tile, axis.kernel, axis.stride, axis.dilation)
    reads = one.reads()
    patch = int(reads.max()) + 1
    taps = (reads[:, :, None] == np.arange(patch)).astype(np.float32)
    outputs = _side_by_side(axis.out, tile)
    return Tiles(outputs, Axis(axis.size, outputs.out, patch, tile * axis.stride, begin=axis.begin), taps)


def _backward(axis: Axis) -> Tiles:
    """The tile is a multiple of the stride: so all tiles are alike."""
    tile = axis.stride * -(-_TILE // axis.stride)
    tap, place = np.ix_(range(axis.kernel), range(tile))
    # Output, times the stride, by which the tap reads this input.
    offset = (place + axis.begin - tap * axis.dilation)[:, :, None]
    first, last = -(-int(offset.min()) // axis.stride), int(offset.max()) // axis.stride
    taps = (offset == np.arange(first, last + 1) * axis.stride).astype(np.float32)
    outputs = _side_by_side(axis.size, tile)
    return Tiles(outputs, Axis(axis.out, outputs.out, taps.shape[2], tile // axis.stride, begin=-first), taps)


def _side_by_side(size: int, tile: int) -> Axis:
    return Axis(size, -(-size // tile), tile, tile)


def _multiply(g: Graph, w: Value, patches: Value, tiles: tuple[Tiles, Tiles]) -> tuple[Value, Order]:
    """The weights times the patches: C×OH×OW×N, and the order of its pixels."""
    rows, columns = (axis.outputs for axis in tiles)
    tile = rows.kernel, columns.kernel
    placement = _placement(tiles)
    placed = g.op("MatMul", matrix(g, w), g.floats(placement.reshape(len(placement), -1)))
    outputs = g.op("MatMul", g.op("Reshape", placed, g.ints([0, math.prod(tile), -1])), patches)
    return from_tiles(g, outputs, (rows, columns))


def _patches(g: Graph, images: Value, tiles: tuple[Tiles, Tiles]) -> Value:
    """What the tiles read of N×C×H×W: C × (patch rows · columns) × (tiles · N)."""
    return pick(g, images, (tiles[0].inputs, tiles[1].inputs))


def _placement(tiles: tuple[Tiles, Tiles]) -> np.ndarray:
    """Where each tap lies in the patch for each pixel of the tile: 0 or 1, float32, taps × tile × patch."""
    placed: np.ndarray = np.einsum("ipa,jqb->ijpqab", tiles[0].taps, tiles[1].taps)
    return placed.reshape([math.prod(placed.shape[axis : axis + 2]) for axis in (0, 2, 4)])


def _taps_of_tiles(g: Graph, conv: Depthwise, dy: Value, x: Value) -> Value:
    """The gradient of the placed weights, summed for each tap: C×taps."""
    tiles = conv.forward()
    (patches,) = g.recall(_key(x, conv))
    gradient = pick(g, dy, (tiles[0].outputs, tiles[1].outputs))
    # Patches first: the 16 pixels of a tile, as columns of the product, suit the runtime.
    placed = g.op("MatMul", patches, g.op("Transpose", gradient, perm=[0, 2, 1]))
    by_place = g.op("Reshape", placed, g.ints([conv.channels, -1]))
    return g.op("MatMul", by_place, g.floats(_placement(tiles).transpose(2, 1, 0).reshape(-1, math.prod(conv.kernel))))


def _taps_of_rows(g: Graph, conv: Depthwise, dy: Value, x: Value) -> Value:
    """The sums over pairs of columns, kernel row by kernel row: C×taps."""
    rows, columns = conv.axes
    images = g.op("Transpose", x, perm=[1, 0, 2, 3])
    if rows.begin or rows.read_end > 0:
        images = g.op("Pad", images, g.ints([0, 0, rows.begin, 0, 0, 0, max(rows.read_end, 0), 0]))
    gradient = g.op("Reshape", g.op("Transpose", dy, perm=[1, 0, 2, 3]), g.ints([conv.channels, -1, columns.out]))
    by_column = g.op("Transpose", gradient, perm=[0, 2, 1])
    # Which tap brings an output and an input together: (out · size) × taps.
    pair_taps = (columns.reads()[:, :, None] == np.arange(columns.size)).transpose(1, 2, 0).reshape(-1, columns.kernel)
    taps: list[Value] = []
    for read_rows in rows.reads() + rows.begin:
        bounds = (g.ints([read_rows[0]]), g.ints([read_rows[-1] + 1]))
        read = g.op("Slice", images, *bounds, g.ints([2]), g.ints([rows.stride]))
        pairs = g.op("MatMul", by_column, g.op("Reshape", read, g.ints([conv.channels, -1, columns.size])))
        by_pair = g.op("Reshape", pairs, g.ints([conv.channels, -1]))
        taps.append(g.op("MatMul", by_pair, g.floats(pair_taps)))
    return g.op("Concat", *taps, axis=1)


def _key(x: Value, conv: Depthwise) -> str:
    return f"depthwise/{x}/{conv}"
