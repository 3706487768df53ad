"""Images with the batch as their innermost axis, C×H×W×N, beside N×C×H×W.

In that order a convolution is a product for the whole batch, and what a kernel reads moves in runs of N floats. A rule
that finds or makes an image in it goes on in it; the other order is written too, and left out where nobody reads it.

Its pixels may lie in tiles, as depthwise convolution makes them: what looks at each pixel alone leaves them there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.graphs.graph import Graph, Shape, Value
from pipeline.graphs.node import Node
from pipeline.lowering.convolutions.windows import Axis

Pair = tuple[int, int]


@dataclass(frozen=True)
class Tiled:
    """The order of pixels that lie first by their place in a tile, then by tile; both row by row.

    Attributes:
      size: rows and columns of the image.
      tile: of a tile.
    """

    size: Pair
    tile: Pair

    def pixels(self) -> np.ndarray:
        """The pixel at each place, by its number row by row: (H · W)."""
        (height, width), (rows, columns) = self.size, self.tile
        by_tile = np.arange(height * width).reshape(height // rows, rows, width // columns, columns)
        return by_tile.transpose(1, 3, 0, 2).ravel()

    def places(self) -> np.ndarray:
        """The place of each pixel, row by row: (H · W)."""
        return np.argsort(self.pixels())


# None: row by row.
Order = Tiled | None

# Operators whose result has, element by element, the order of their inputs.
ELEMENTWISE = frozenset(
    {
        *("Relu", "ReluGrad", "LeakyRelu", "LeakyReluGrad", "Clip", "Sigmoid", "SigmoidGrad", "Tanh", "TanhGrad"),
        *("HardSigmoid", "HardSwish", "HardSwishGrad", "QuickGelu", "QuickGeluGrad"),
        *("Add", "Sum", "Sub", "Mul", "Div", "Neg", "Abs", "Exp", "Log", "Sqrt", "Pow", "Where", "Cast"),
        *("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Not"),
    }
)


def is_batch_last(g: Graph, images: Value) -> bool:
    """Whether N×C×H×W is there as C×H×W×N already."""
    return g.recall_or_none(_key(images)) is not None


def order_of(g: Graph, images: Value) -> Order:
    """The order of the pixels where images are there as C×H×W×N already; else that in which they will be."""
    known: tuple[Value, Order] | None = g.recall_or_none(_key(images))
    return known[1] if known else None


def batch_last(g: Graph, images: Value, order: Order = None) -> Value:
    """N×C×H×W as C×H×W×N, the pixels in `order`."""
    value, known = _batch_last(g, images)
    if known == order or uniform(g, value):
        return value
    by_rows = _by_rows(g, value, known)
    return _take(g, by_rows, order.size, order.pixels()) if order else by_rows


def batch_first(g: Graph, images: Value, order: Order = None) -> Value:
    """C×H×W×N, the pixels in `order`, as N×C×H×W; `batch_last` of the result is `images` again."""
    turned = g.op("Transpose", _by_rows(g, images, order), perm=[3, 0, 1, 2])
    g.remember(_key(turned), (images, order))
    return turned


def same_everywhere(g: Graph, pixel: Value, size: Pair) -> Value:
    """C×1×1×N at every pixel of C×H×W×N. What takes both may read the pixel: `uniform` of the result."""
    images = g.op("Expand", pixel, g.ints([1, *size, 1]))
    g.remember(_uniform_key(images), (pixel, size))
    return images


def uniform(g: Graph, images: Value) -> tuple[Value, Pair] | None:
    """The pixel, C×1×1×N, and the size of C×H×W×N that is the same everywhere; None of any other."""
    known: tuple[Value, Pair] | None = g.recall_or_none(_uniform_key(images))
    return known


def from_tiles(g: Graph, outputs: Value, tiles: tuple[Axis, Axis]) -> tuple[Value, Order]:
    """C × tile × (tiles · N) as C×H×W×N, and the order of its pixels.

    The tiles are windows side by side over rows and columns; the last ones may reach beyond the image.
    """
    rows, columns = tiles
    size, tile = (rows.size, columns.size), (rows.kernel, columns.kernel)
    made = Tiled((rows.kernel * rows.out, columns.kernel * columns.out), tile)
    if made.size == size:
        # A single tile is the image row by row.
        return g.op("Reshape", outputs, g.ints([0, *size, -1])), None if tile == size else made
    places = made.places().reshape(made.size)[: rows.size, : columns.size]
    by_pixel = g.op("Reshape", outputs, g.ints([0, math.prod(made.size), -1]))
    picked = g.op("Gather", by_pixel, g.ints(places.ravel()), axis=1)
    return g.op("Reshape", picked, g.ints([0, *size, -1])), None


def matrix(g: Graph, value: Value) -> Value:
    """The first axis by all others."""
    return g.op("Reshape", value, g.ints([0, -1]))


def add_bias(g: Graph, node: Node, product: Value, rank: int = 4) -> Value:
    """The third input of a Conv, where it has one, added along the first axis of `product`, which has `rank` axes."""
    if len(node.inputs) < 3 or not node.inputs[2]:
        return product
    return g.op("Add", product, g.op("Reshape", node.inputs[2], g.ints([-1, *[1] * (rank - 1)])))


def pick(g: Graph, images: Value, axes: tuple[Axis, Axis]) -> Value:
    """What windows read of N×C×H×W, zeros in the padding: C × taps × (places · N), rows before columns in both.

    Written once however often it is asked for.
    """
    key = f"picked/{images}/{axes}"
    known: tuple[Value] | None = g.recall_or_none(key)
    if known is None:
        known = (_picked(g, images, axes),)
        g.remember(key, known)
    return known[0]


def _picked(g: Graph, images: Value, axes: tuple[Axis, Axis]) -> Value:
    value, order = _batch_last(g, images)
    size = axes[0].size, axes[1].size
    rows, columns = np.broadcast_arrays(axes[0].reads()[:, None, :, None], axes[1].reads()[None, :, None, :])
    inside = (rows >= 0) & (rows < size[0]) & (columns >= 0) & (columns < size[1])
    # One pixel of zeros behind the image stands for all that is outside.
    place_of = np.append(order.places() if order else np.arange(math.prod(size)), math.prod(size))
    places = place_of[np.where(inside, rows * size[1] + columns, math.prod(size))].ravel()
    pixels = g.op("Reshape", value, g.ints([0, math.prod(size), -1]))
    if not inside.all():
        pixels = g.op("Pad", pixels, g.ints([0, 0, 0, 0, 1, 0]))
    if not np.array_equal(places, np.arange(math.prod(size))):
        pixels = g.op("Gather", pixels, g.ints(places), axis=1)
    return g.op("Reshape", pixels, g.ints([0, axes[0].kernel * axes[1].kernel, -1]))


def common_shape(g: Graph, op_type: str, inputs: Sequence[Value], shapes: Sequence[Shape | None]) -> Shape | None:
    """The shape of all images that an elementwise operator reads, where one of them is there in C×H×W×N.

    Images of one pixel may be among larger ones. None for any other operator, where images differ in shape, or a shape
    is unknown.
    """
    if op_type not in ELEMENTWISE or not any(is_batch_last(g, value) for value in inputs):
        return None
    images = {shape for value, shape in zip(inputs, shapes, strict=True) if value and not _is_scalar(shape)}
    larger = {shape for shape in images if shape is None or not _is_pixel(shape)} or images
    if len(larger) != 1:
        return None
    [common] = larger
    return common if common is not None and images <= {common, (*common[:2], 1, 1)} else None


def common_order(g: Graph, inputs: Sequence[Value], shapes: Sequence[Shape | None], common: Shape) -> Order:
    """The order in which all inputs that are there as C×H×W×N have their pixels; row by row where they differ."""
    known = [
        g.recall(_key(value))
        for value, shape in zip(inputs, shapes, strict=True)
        if shape == common and is_batch_last(g, value)
    ]
    orders = {order for value, order in known if not uniform(g, value)}
    return orders.pop() if len(orders) == 1 else None


def all_batch_last(
    g: Graph, inputs: Sequence[Value], shapes: Sequence[Shape | None], common: Shape, order: Order
) -> list[Value]:
    """The inputs of an elementwise operator, images in C×H×W×N, the pixels in `order`."""
    return [
        value if not value or _is_scalar(shape) else batch_last(g, value, order if shape == common else None)
        for value, shape in zip(inputs, shapes, strict=True)
    ]


def _is_pixel(shape: Shape) -> bool:
    """Whether images N×C×H×W have one pixel."""
    return len(shape) == 4 and shape[2:] == (1, 1)


def _is_scalar(shape: Shape | None) -> bool:
    """Whether an operand of this shape, broadcast, leaves an image's shape as it is in either order."""
    return shape is not None and len(shape) <= 4 and all(size == 1 for size in shape)


def _batch_last(g: Graph, images: Value) -> tuple[Value, Order]:
    """N×C×H×W as C×H×W×N in the order in which it is there, or else row by row."""
    known: tuple[Value, Order] | None = g.recall_or_none(_key(images))
    return known or (g.op("Transpose", images, perm=[1, 2, 3, 0]), None)


def _by_rows(g: Graph, images: Value, order: Order) -> Value:
    """C×H×W×N row by row."""
    return _take(g, images, order.size, order.places()) if order else images


def _take(g: Graph, images: Value, size: Pair, places: np.ndarray) -> Value:
    """C×H×W×N with other pixels, by their places."""
    by_pixel = g.op("Reshape", images, g.ints([0, math.prod(size), -1]))
    return g.op("Reshape", g.op("Gather", by_pixel, g.ints(places), axis=1), g.ints([0, *size, -1]))


def _key(images: Value) -> str:
    return f"batch last/{images}"


def _uniform_key(images: Value) -> str:
    return f"uniform/{images}"
