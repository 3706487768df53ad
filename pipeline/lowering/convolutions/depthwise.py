"""Depthwise convolution in matrix products.

ONNX Runtime convolves each channel of each image apart, and has no good form of the weights' gradient. Three forms take
their place, by what they cost; the batch is the innermost axis in all of them, as in `layout`.

Whole: an image of few pixels is multiplied by one matrix for each channel, which has a weight or 0 for each output and
input. Its transpose gives the input's gradient, and a product of gradients and inputs that of its entries.

In tiles: the outputs are cut into tiles of 4 to 6 rows and columns, and each tile depends on a patch of the input. The
patches of a channel, of all tiles and images, are one matrix, and a product with the channel's weights, placed in the
patch for each pixel of the tile, gives all outputs. The input's gradient is the same with inputs and outputs exchanged.
Its patches times the tiles of the input give that of the weights: nothing is kept for it but the input.

With a stride each tile reads more than it has outputs, and the runtime's convolution is faster, the batch as a third
axis of one image, along which the kernel is one wide.

Where the patches would take too much memory, the runtime's convolution has to do. The weights' gradient is then that of
rows: those of the output's gradient times those of the input give, for each row of the kernel, the sums of products of
any two columns; those whose distance is a tap's make up that tap's gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from pipeline.graphs.graph import Graph, Shape, Value
from pipeline.graphs.node import Node
from pipeline.lowering.convolutions.layout import (
    Order,
    Pair,
    add_bias,
    batch_first,
    batch_last,
    from_tiles,
    matrix,
    pick,
)
from pipeline.lowering.convolutions.windows import Axis, image_axes

# Rows and columns of most tiles: their patch is 2.25 times as large for a 3×3 kernel, and the product has 16 rows.
_TILE = 4
# Longer ones are taken where tiles of 4 leave a rest: it would be read, computed and left out again.
_LONGEST_TILE = 6

# Elements of all patches of one image: beyond, they take too much memory.
_PATCHES_LIMIT = 2**19

# What gathering one number of a patch costs, in multiplications.
_GATHERING = 5


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
    def inputs(self) -> Pair:
        """Rows and columns of the input."""
        rows, columns = self.axes
        return rows.size, columns.size

    @property
    def outputs(self) -> Pair:
        """Rows and columns of the output."""
        rows, columns = self.axes
        return rows.out, columns.out

    @property
    def is_product(self) -> bool:
        """Whether it is whole or its patches are small enough."""
        return self.is_whole or self.channels * math.prod(_reading(self.forward())) <= _PATCHES_LIMIT

    @property
    def is_whole(self) -> bool:
        """Whether one matrix for each image costs less than tiles."""
        tiles = self.forward()
        tile = math.prod(axis.outputs.kernel for axis in tiles)
        return math.prod(axis.size * axis.out for axis in self.axes) < math.prod(_reading(tiles)) * (tile + _GATHERING)

    @property
    def is_strided(self) -> bool:
        """Whether it leaves out places along either axis."""
        return max(axis.stride for axis in self.axes) > 1

    @property
    def taps(self) -> np.ndarray:
        """Which tap brings an output and an input together: 0 or 1, float32, taps × outputs × inputs."""
        rows, columns = ((axis.reads()[:, :, None] == np.arange(axis.size)).astype(np.float32) for axis in self.axes)
        return _of_both_axes(rows, columns)

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
    """Conv(x N×C×H×W, w C×1×KH×KW, [b C]) → y."""
    x, w = node.inputs[:2]
    if conv.is_whole:
        pixels = g.op("MatMul", _placed(g, w, conv.taps), _pixels(g, x, conv.inputs))
        y, order = _as_image(g, pixels, conv.outputs), None
    elif conv.is_strided:
        y, order = _with_batch_as_axis(g, conv, x, w), None
    else:
        tiles = conv.forward()
        y, order = _multiply(g, w, _patches(g, x, tiles), tiles)
    return batch_first(g, add_bias(g, node, y), order)


def input_gradient(g: Graph, conv: Depthwise, dy: Value, w: Value) -> Value:
    """dx, whole or tiled."""
    if conv.is_whole:
        transposed = g.op("Transpose", _placed(g, w, conv.taps), perm=[0, 2, 1])
        return batch_first(g, _as_image(g, g.op("MatMul", transposed, _pixels(g, dy, conv.outputs)), conv.inputs))
    tiles = conv.backward()
    return batch_first(g, *_multiply(g, w, _patches(g, dy, tiles), tiles))


def weight_gradient(g: Graph, conv: Depthwise, dy: Value, x: Value) -> Value:
    """dw, C×1×KH×KW."""
    if conv.is_whole:
        taps = _taps_of_whole(g, conv, dy, x)
    else:
        taps = _taps_of_tiles(g, conv, dy, x) if conv.is_product else _taps_of_rows(g, conv, dy, x)
    return g.op("Reshape", taps, g.ints([conv.channels, 1, *conv.kernel]))


def _forward(axis: Axis) -> Tiles:
    tile = _tile(axis.out, 1)
    # The last outputs of the tile read the last inputs of the patch.
    one = Axis(0, tile, axis.kernel, axis.stride, axis.dilation)
    reads = one.reads()
    patch = int(reads.max()) + 1
    taps = (reads[:, :, None] == np.arange(patch)).astype(np.float32)
    outputs = _side_by_side(axis.out, tile)
    return _inside(Tiles(outputs, Axis(axis.size, outputs.out, patch, tile * axis.stride, begin=axis.begin), taps))


def _backward(axis: Axis) -> Tiles:
    tile = _tile(axis.size, axis.stride)
    tap, place = np.ix_(range(axis.kernel), range(tile))
    # Output, times the stride, by which the tap reads this input.
    offset = (place + axis.begin - tap * axis.dilation)[:, :, None]
    first, last = -(-int(offset.min()) // axis.stride), int(offset.max()) // axis.stride
    taps = (offset == np.arange(first, last + 1) * axis.stride).astype(np.float32)
    outputs = _side_by_side(axis.size, tile)
    return _inside(Tiles(outputs, Axis(axis.out, outputs.out, taps.shape[2], tile // axis.stride, begin=-first), taps))


def _inside(tiles: Tiles) -> Tiles:
    """Without what lies in the padding in every patch: at both ends of the only one there is, mostly."""
    axis, reads = tiles.inputs, tiles.inputs.reads()
    places = np.flatnonzero(((reads >= 0) & (reads < axis.size)).any(axis=1))
    if not len(places):
        return tiles
    first, end = int(places[0]), int(places[-1]) + 1
    inputs = replace(axis, kernel=end - first, begin=axis.begin - first)
    return Tiles(tiles.outputs, inputs, tiles.taps[:, :, first:end])


def _tile(size: int, stride: int) -> int:
    """The length of the tiles of an axis: where one does, that which leaves no rest.

    It is a multiple of the stride that leads back: so all tiles are alike.
    """
    first = stride * -(-min(size, _TILE) // stride)
    multiples = range(first, max(first, _LONGEST_TILE) + 1, stride)
    return next((tile for tile in multiples if size % tile == 0), first)


def _side_by_side(size: int, tile: int) -> Axis:
    return Axis(size, -(-size // tile), tile, tile)


def _multiply(g: Graph, w: Value, patches: Value, tiles: tuple[Tiles, Tiles]) -> tuple[Value, Order]:
    """The weights times the patches: C×OH×OW×N, and the order of its pixels."""
    rows, columns = (axis.outputs for axis in tiles)
    outputs = g.op("MatMul", _placed(g, w, _taps_of(tiles)), patches)
    return from_tiles(g, outputs, (rows, columns))


def _with_batch_as_axis(g: Graph, conv: Depthwise, x: Value, w: Value) -> Value:
    """The runtime's convolution of one image C×H×W×N: C×OH×OW×N."""
    rows, columns = conv.axes
    y = g.op(
        "Conv",
        g.op("Unsqueeze", batch_last(g, x), g.ints([0])),
        g.op("Unsqueeze", w, g.ints([4])),
        strides=[rows.stride, columns.stride, 1],
        dilations=[rows.dilation, columns.dilation, 1],
        pads=[rows.begin, columns.begin, 0, rows.end, columns.end, 0],
        group=conv.channels,
    )
    return g.op("Squeeze", y, g.ints([0]))


def _patches(g: Graph, images: Value, tiles: tuple[Tiles, Tiles]) -> Value:
    """What the tiles read of N×C×H×W: C × (patch rows · columns) × (tiles · N)."""
    return pick(g, images, (tiles[0].inputs, tiles[1].inputs))


def _reading(tiles: tuple[Tiles, Tiles]) -> list[int]:
    """The length of all patches together, along each axis."""
    return [axis.inputs.kernel * axis.inputs.out for axis in tiles]


def _pixels(g: Graph, images: Value, size: Pair) -> Value:
    """N×C×H×W as C×(H·W)×N, row by row."""
    return g.op("Reshape", batch_last(g, images), g.ints([0, math.prod(size), -1]))


def _as_image(g: Graph, pixels: Value, size: Pair) -> Value:
    """The way back, to C×H×W×N."""
    return g.op("Reshape", pixels, g.ints([0, *size, -1]))


def _placed(g: Graph, w: Value, taps: np.ndarray) -> Value:
    """The weights where `taps` (taps × outputs × inputs) has them: C × outputs × inputs."""
    placed = g.op("MatMul", matrix(g, w), g.floats(taps.reshape(len(taps), -1)))
    return g.op("Reshape", placed, g.ints([0, *taps.shape[1:]]))


def _taps_of(tiles: tuple[Tiles, Tiles]) -> np.ndarray:
    """Where each tap lies in the patch for each pixel of the tile: 0 or 1, float32, taps × tile × patch."""
    return _of_both_axes(tiles[0].taps, tiles[1].taps)


def _of_both_axes(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Taps × outputs × inputs of an image by those of its rows and columns."""
    both: np.ndarray = np.einsum("ipa,jqb->ijpqab", rows, columns)
    return both.reshape([math.prod(both.shape[axis : axis + 2]) for axis in (0, 2, 4)])


def _taps_of_whole(g: Graph, conv: Depthwise, dy: Value, x: Value) -> Value:
    """The gradient of the placed weights, summed for each tap: C×taps."""
    inputs = g.op("Transpose", _pixels(g, x, conv.inputs), perm=[0, 2, 1])
    return _summed_by_tap(g, g.op("MatMul", _pixels(g, dy, conv.outputs), inputs), conv.taps)


def _taps_of_tiles(g: Graph, conv: Depthwise, dy: Value, x: Value) -> Value:
    """The same of the input's gradient, whose patches are there already: C×taps."""
    tiles = conv.backward()
    inputs = pick(g, x, (tiles[0].outputs, tiles[1].outputs))
    # Patches first: the pixels of a tile, as columns of the product, suit the runtime.
    placed = g.op("MatMul", _patches(g, dy, tiles), g.op("Transpose", inputs, perm=[0, 2, 1]))
    return _summed_by_tap(g, placed, _taps_of(tiles).transpose(0, 2, 1))


def _summed_by_tap(g: Graph, placed: Value, taps: np.ndarray) -> Value:
    """C × rows × columns, summed where `taps` (taps × rows × columns) has them: C×taps."""
    return g.op("MatMul", matrix(g, placed), g.floats(taps.reshape(len(taps), -1).T))


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
