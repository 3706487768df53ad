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

from pipeline.lowering.graph import Graph, Shape, Value
from pipeline.lowering.layout import Pair, batch_first, batch_last, pick
from pipeline.lowering.rules import Node
from pipeline.lowering.windows import pads_of, reach_of

# Rows and columns of a tile: its patch is then 2.25 times as large for a 3×3 kernel, and the product has 16 rows.
_TILE = 4

# Elements of all patches of one image: beyond, they take too much memory.
_PATCHES_LIMIT = 2**19


@dataclass(frozen=True)
class Tiles:
    """How one axis of a linear map is cut into tiles of outputs, each of which reads a patch of inputs.

    Attributes:
      outputs, inputs: lengths of the axis.
      count: number of tiles.
      first: where the first tile's patch begins, below 0 in the padding.
      step: inputs between the patches of two tiles.
      taps: whether a tap brings an output of the tile and an input of the patch together: 0 or 1, taps × tile × patch.
    """

    outputs: int
    inputs: int
    count: int
    first: int
    step: int
    taps: np.ndarray

    def sources(self) -> np.ndarray:
        """Inputs that the patches read, some of them in the padding: patch × tiles."""
        read: np.ndarray = self.first + np.arange(self.taps.shape[2])[:, None] + np.arange(self.count) * self.step
        return read

    def destinations(self) -> np.ndarray:
        """Outputs that the tiles make, some of them beyond the last: tile × tiles."""
        tile = self.taps.shape[1]
        made: np.ndarray = np.arange(tile)[:, None] + np.arange(self.count) * tile
        return made


@dataclass(frozen=True)
class Axis:
    """One axis of a convolution."""

    size: int
    out: int
    kernel: int
    stride: int
    dilation: int
    begin: int

    def forward(self) -> Tiles:
        """From the input to the output."""
        tile = min(_TILE, self.out)
        taps = np.zeros(
            (self.kernel, tile, (tile - 1) * self.stride + (self.kernel - 1) * self.dilation + 1), np.float32
        )
        tap, output = np.ix_(range(self.kernel), range(tile))
        taps[tap, output, output * self.stride + tap * self.dilation] = 1
        return Tiles(self.out, self.size, -(-self.out // tile), -self.begin, tile * self.stride, taps)

    def backward(self) -> Tiles:
        """From the output's gradient to the input's; a tile is a multiple of the stride: so all tiles are alike."""
        tile = self.stride * -(-_TILE // self.stride)
        tap, place = np.ix_(range(self.kernel), range(tile))
        offset = place + self.begin - tap * self.dilation
        first = -(-int(offset.min()) // self.stride)
        taps = np.zeros((self.kernel, tile, int(offset.max()) // self.stride - first + 1), np.float32)
        reached = offset % self.stride == 0
        where = np.broadcast_to(tap, offset.shape)[reached], np.broadcast_to(place, offset.shape)[reached]
        taps[(*where, offset[reached] // self.stride - first)] = 1
        return Tiles(self.size, self.out, -(-self.size // tile), first, tile // self.stride, taps)

    def sources(self) -> np.ndarray:
        """Input that each tap reads for the first output, which may be in the padding."""
        return np.arange(self.kernel) * self.dilation - self.begin

    def column_taps(self) -> np.ndarray:
        """Which tap brings an output and an input together: 0 or 1, float32, (out · size) × taps."""
        tap, output, source = np.ix_(self.sources(), np.arange(self.out), np.arange(self.size))
        reads: np.ndarray = tap + output * self.stride == source
        return reads.astype(np.float32).transpose(1, 2, 0).reshape(-1, self.kernel)


@dataclass(frozen=True)
class Depthwise:
    """A depthwise convolution of two spatial axes."""

    channels: int
    rows: Axis
    columns: Axis

    @property
    def kernel(self) -> Pair:
        """Rows and columns."""
        return self.rows.kernel, self.columns.kernel

    @property
    def is_tiled(self) -> bool:
        """Whether its patches are small enough."""
        tiles = (self.rows.forward(), self.columns.forward())
        elements: int = self.channels * math.prod(axis.taps.shape[2] * axis.count for axis in tiles)
        return elements <= _PATCHES_LIMIT


def depthwise_of(node: Node, image: Shape | None, weights: Shape | None) -> Depthwise | None:
    """The convolution that `node` is, or whose gradient, from its operands' shapes; None where it is not depthwise."""
    if image is None or weights is None or len(image) != 4 or not all(isinstance(size, int) for size in image[1:]):
        return None
    channels, *size = (int(length) for length in image[1:])
    outputs, _, *kernel = (int(length) for length in weights)
    if not int(node.attributes.get("group", 1)) == channels == outputs or channels == 1:
        return None
    strides = node.attributes.get("strides", [1, 1])
    dilations = node.attributes.get("dilations", [1, 1])
    reach = reach_of(kernel, dilations)
    begins, ends = pads_of(node.attributes, size, reach, strides)
    out = [(size[a] + begins[a] + ends[a] - reach[a]) // strides[a] + 1 for a in (0, 1)]
    rows, columns = (
        Axis(size[a], out[a], kernel[a], int(strides[a]), int(dilations[a]), int(begins[a])) for a in (0, 1)
    )
    return Depthwise(channels, rows, columns)


def convolve(node: Node, g: Graph, conv: Depthwise) -> Value:
    """Conv(x N×C×H×W, w C×1×KH×KW, [b C]) → y, tiled."""
    x, w = node.inputs[:2]
    tiles = conv.rows.forward(), conv.columns.forward()
    patches = _patches(g, batch_last(g, x), tiles)
    g.remember(_key(x, w), (patches,))
    y = _multiply(g, w, patches, tiles)
    if len(node.inputs) > 2 and node.inputs[2]:
        y = g.op("Add", y, g.op("Reshape", node.inputs[2], g.ints([-1, 1, 1, 1])))
    return batch_first(g, y)


def input_gradient(g: Graph, conv: Depthwise, dy: Value, w: Value) -> Value:
    """dx, tiled."""
    tiles = conv.rows.backward(), conv.columns.backward()
    return batch_first(g, _multiply(g, w, _patches(g, batch_last(g, dy), tiles), tiles))


def weight_gradient(g: Graph, conv: Depthwise, dy: Value, x: Value, w: Value) -> Value:
    """dw, C×1×KH×KW."""
    taps = _taps_of_tiles(g, conv, dy, x, w) if conv.is_tiled else _taps_of_rows(g, conv, dy, x)
    return g.op("Reshape", taps, g.ints([conv.channels, 1, *conv.kernel]))


def _multiply(g: Graph, w: Value, patches: Value, tiles: tuple[Tiles, Tiles]) -> Value:
    """The weights times the patches, put back into rows and columns: C×OH×OW×N."""
    placement = _placement(tiles).reshape(-1, math.prod(axis.taps.shape[1] * axis.taps.shape[2] for axis in tiles))
    tile = math.prod(axis.taps.shape[1] for axis in tiles)
    placed = g.op("MatMul", g.op("Reshape", w, g.ints([0, -1])), g.floats(placement))
    outputs = g.op("MatMul", g.op("Reshape", placed, g.ints([0, tile, -1])), patches)
    by_pixel = g.op("Reshape", outputs, g.ints([0, tile * math.prod(axis.count for axis in tiles), -1]))
    size = [axis.outputs for axis in tiles]
    order = np.empty(size, np.int64)
    places = np.arange(tile * math.prod(axis.count for axis in tiles))
    kept = [axis.destinations() for axis in tiles]
    rows, columns = np.broadcast_arrays(kept[0][:, None, :, None], kept[1][None, :, None, :])
    inside = (rows < size[0]) & (columns < size[1])
    order[rows[inside], columns[inside]] = places.reshape(rows.shape)[inside]
    return g.op("Reshape", g.op("Gather", by_pixel, g.ints(order.ravel()), axis=1), g.ints([0, *size, -1]))


def _patches(g: Graph, images: Value, tiles: tuple[Tiles, Tiles]) -> Value:
    """What the tiles read of C×H×W×N: C × (patch rows · columns) × (tiles · N)."""
    sources = tiles[0].sources(), tiles[1].sources()
    return pick(g, images, (tiles[0].inputs, tiles[1].inputs), sources)


def _placement(tiles: tuple[Tiles, Tiles]) -> np.ndarray:
    """Where each tap lies in the patch for each pixel of the tile: 0 or 1, float32, taps × tile × patch."""
    placed: np.ndarray = np.einsum("ipa,jqb->ijpqab", tiles[0].taps, tiles[1].taps)
    return placed.reshape([math.prod(placed.shape[axis : axis + 2]) for axis in (0, 2, 4)])


def _taps_of_tiles(g: Graph, conv: Depthwise, dy: Value, x: Value, w: Value) -> Value:
    """The gradient of the placed weights, summed for each tap: C×taps."""
    tiles = conv.rows.forward(), conv.columns.forward()
    (patches,) = g.recall(_key(x, w))
    destinations = tiles[0].destinations(), tiles[1].destinations()
    gradient = pick(g, batch_last(g, dy), (conv.rows.out, conv.columns.out), destinations)
    # Patches first: the 16 pixels of a tile, as columns of the product, suit the runtime.
    placed = g.op("MatMul", patches, g.op("Transpose", gradient, perm=[0, 2, 1]))
    by_place = g.op("Reshape", placed, g.ints([conv.channels, -1]))
    return g.op("MatMul", by_place, g.floats(_placement(tiles).transpose(2, 1, 0).reshape(-1, math.prod(conv.kernel))))


def _taps_of_rows(g: Graph, conv: Depthwise, dy: Value, x: Value) -> Value:
    """The sums over pairs of columns, kernel row by kernel row: C×taps."""
    rows, columns = conv.rows, conv.columns
    reached = rows.sources()[-1] + (rows.out - 1) * rows.stride + 1
    images = g.op("Transpose", x, perm=[1, 0, 2, 3])
    if rows.begin or reached > rows.size:
        images = g.op("Pad", images, g.ints([0, 0, rows.begin, 0, 0, 0, max(reached - rows.size, 0), 0]))
    gradient = g.op("Reshape", g.op("Transpose", dy, perm=[1, 0, 2, 3]), g.ints([conv.channels, -1, columns.out]))
    by_column = g.op("Transpose", gradient, perm=[0, 2, 1])
    taps: list[Value] = []
    for first in rows.sources() + rows.begin:
        end = first + (rows.out - 1) * rows.stride + 1
        read = g.op("Slice", images, g.ints([first]), g.ints([end]), g.ints([2]), g.ints([rows.stride]))
        pairs = g.op("MatMul", by_column, g.op("Reshape", read, g.ints([conv.channels, -1, columns.size])))
        by_pair = g.op("Reshape", pairs, g.ints([conv.channels, -1]))
        taps.append(g.op("MatMul", by_pair, g.floats(columns.column_taps())))
    return g.op("Concat", *taps, axis=1)


def _key(x: Value, w: Value) -> str:
    return f"depthwise/{x}/{w}"
