"""Depthwise convolution in matrix products.

ONNX Runtime convolves each channel of each image apart, which is slow where images are small, and has no good form of
the weights' gradient. The batch is put into the products instead:

* Small images: in one channel, the convolution is a product with one matrix, input × output, for all images at once (a
  doubly blocked Toeplitz matrix; Gray, "Toeplitz and circulant matrices", 2006). Both gradients are products with it.
* Larger ones: rows of the output's gradient times rows of the input give, for each row of the kernel, the sums of
  products of any two columns; those whose distance is a tap's make up that tap's gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.lowering.graph import Graph, Shape, Value
from pipeline.lowering.rules import Node, lowers
from pipeline.lowering.windows import pads_of, reach_of

# Elements of one channel's matrix, beyond which the runtime's convolution is faster, and of all matrices.
_MATRIX_LIMIT, _MATRICES_LIMIT = 2**14, 2**22


@dataclass(frozen=True)
class Depthwise:
    """Sizes of a depthwise convolution of two spatial axes."""

    channels: int
    size: tuple[int, int]
    out: tuple[int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    begins: tuple[int, int]

    @property
    def is_small(self) -> bool:
        """Whether the convolution is done by one matrix for each channel."""
        elements = math.prod(self.size) * math.prod(self.out)
        return elements <= _MATRIX_LIMIT and elements * self.channels <= _MATRICES_LIMIT

    def sources(self, axis: int) -> np.ndarray:
        """Input position along an axis that each tap reads for each output, which may be in the padding: taps × out."""
        outputs = np.arange(self.out[axis]) * self.strides[axis] - self.begins[axis]
        return np.arange(self.kernel[axis])[:, None] * self.dilations[axis] + outputs

    def placement(self) -> np.ndarray:
        """Where a channel's matrix has each weight: 0 or 1, float32, taps × (H·W·OH·OW)."""
        rows, columns = (self._reads(axis) for axis in (0, 1))
        placed: np.ndarray = np.einsum("iha,jwb->ijhwab", rows, columns)
        return placed.reshape(math.prod(self.kernel), -1)

    def column_taps(self) -> np.ndarray:
        """Which tap brings an output column and an input column together: 0 or 1, float32, (OW·W) × KW."""
        return self._reads(1).transpose(2, 1, 0).reshape(-1, self.kernel[1])

    def _reads(self, axis: int) -> np.ndarray:
        """Whether a tap reads an input for an output, along one axis: 0 or 1, float32, taps × size × out."""
        reads: np.ndarray = self.sources(axis)[:, None] == np.arange(self.size[axis])[:, None]
        return reads.astype(np.float32)


def depthwise_of(node: Node, image: Shape | None, weights: Shape | None) -> Depthwise | None:
    """Sizes of a convolution, or of that whose gradient `node` is, from its operands' shapes; None for any other."""
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
    pairs = (size, out, kernel, strides, dilations, begins)
    return Depthwise(channels, *((int(pair[0]), int(pair[1])) for pair in pairs))


@lowers("Conv")
def convolution(node: Node, g: Graph) -> Value:
    """Conv(x N×C×H×W, w M×C/G×KH×KW, [b M]) → y; a depthwise one of small images as a product."""
    conv = depthwise_of(node, *node.input_shapes[:2])
    if conv is None or not conv.is_small:
        return g.op("Conv", *node.inputs, **node.attributes)
    x, w = node.inputs[:2]
    matrices = g.op("MatMul", g.op("Reshape", w, g.ints([conv.channels, -1])), g.floats(conv.placement()))
    matrices = g.op("Reshape", matrices, g.ints([conv.channels, math.prod(conv.size), math.prod(conv.out)]))
    images = _channels_first(g, x, conv)
    g.remember(_key(x, w), (matrices, images))
    y = _batch_first(g, g.op("MatMul", images, matrices), conv.channels, conv.out)
    has_bias = len(node.inputs) > 2 and bool(node.inputs[2])
    return g.op("Add", y, g.op("Reshape", node.inputs[2], g.ints([-1, 1, 1]))) if has_bias else y


def input_gradient(g: Graph, conv: Depthwise, dy: Value, x: Value, w: Value) -> Value:
    """Dx of a small one."""
    matrices, _ = g.recall(_key(x, w))
    product = g.op("MatMul", _channels_first(g, dy, conv), g.op("Transpose", matrices, perm=[0, 2, 1]))
    return _batch_first(g, product, conv.channels, conv.size)


def weight_gradient(g: Graph, conv: Depthwise, dy: Value, x: Value, w: Value) -> Value:
    """dw, C×1×KH×KW."""
    taps = _taps_of_matrices(g, conv, dy, x, w) if conv.is_small else _taps_of_rows(g, conv, dy, x)
    return g.op("Reshape", taps, g.ints([conv.channels, 1, *conv.kernel]))


def _taps_of_matrices(g: Graph, conv: Depthwise, dy: Value, x: Value, w: Value) -> Value:
    """The gradient of each channel's matrix, summed for each weight: C×taps."""
    _, images = g.recall(_key(x, w))
    by_pixel = g.op("Transpose", images, perm=[0, 2, 1])
    matrices = g.op("MatMul", by_pixel, _channels_first(g, dy, conv))
    return g.op("MatMul", g.op("Reshape", matrices, g.ints([conv.channels, -1])), g.floats(conv.placement().T))


def _taps_of_rows(g: Graph, conv: Depthwise, dy: Value, x: Value) -> Value:
    """The sums over pairs of columns, kernel row by kernel row: C×taps."""
    channels, (height, width), (out_height, out_width) = conv.channels, conv.size, conv.out
    sources = conv.sources(0)
    before, after = max(-int(sources.min()), 0), max(int(sources.max()) + 1 - height, 0)
    images = g.op("Transpose", x, perm=[1, 0, 2, 3])
    if before or after:
        images = g.op("Pad", images, g.ints([0, 0, before, 0, 0, 0, after, 0]))
    gradient = g.op("Reshape", g.op("Transpose", dy, perm=[1, 0, 2, 3]), g.ints([channels, -1, out_width]))
    by_column = g.op("Transpose", gradient, perm=[0, 2, 1])
    rows: list[Value] = []
    for first in sources[:, 0] + before:
        end = int(first) + (out_height - 1) * conv.strides[0] + 1
        read = g.op("Slice", images, g.ints([first]), g.ints([end]), g.ints([2]), g.ints([conv.strides[0]]))
        pairs = g.op("MatMul", by_column, g.op("Reshape", read, g.ints([channels, -1, width])))
        rows.append(g.op("MatMul", g.op("Reshape", pairs, g.ints([channels, -1])), g.floats(conv.column_taps())))
    return g.op("Concat", *rows, axis=1)


def _channels_first(g: Graph, images: Value, conv: Depthwise) -> Value:
    """N×C×H×W as C×N×(H·W); written once for both gradients."""
    key = f"channels first/{images}"
    known = g.recall_or_none(key)
    if known is None:
        flat = g.op("Reshape", images, g.ints([0, conv.channels, -1]))
        known = (g.op("Transpose", flat, perm=[1, 0, 2]),)
        g.remember(key, known)
    return known[0]


def _batch_first(g: Graph, images: Value, channels: int, size: tuple[int, int]) -> Value:
    """C×N×(H·W) as N×C×H×W."""
    return g.op("Reshape", g.op("Transpose", images, perm=[1, 0, 2]), g.ints([0, channels, *size]))


def _key(x: Value, w: Value) -> str:
    return f"depthwise/{x}/{w}"
