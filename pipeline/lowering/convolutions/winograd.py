"""Convolutions of 3×3 and stride 1 by minimal filtering, for the whole batch.

The outputs are cut into tiles of m×m, each of which depends on a patch of (m + 2)². A product with a constant brings
the patches of all channels, tiles and images to (m + 2)² points; at each point the weights, brought there too, are one
product over the channels; another constant leads back to the tile. Multiplications are (m + 2)²/m² for an output,
channel and channel, instead of 9. The batch is the innermost axis, as in `layout`, and a tile's outputs stay in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.graphs.graph import Graph, Value
from pipeline.graphs.node import Node
from pipeline.lowering.convolutions.filtering import filtering
from pipeline.lowering.convolutions.layout import add_bias, batch_first, from_tiles, matrix, pick
from pipeline.lowering.convolutions.windows import Axis

KERNEL = 3


@dataclass(frozen=True)
class Winograd:
    """A convolution in tiles.

    Attributes:
      axes: of the convolution, rows and columns.
      tile: rows, and columns, of a tile: m.
    """

    axes: tuple[Axis, Axis]
    tile: int

    @property
    def points(self) -> int:
        """Products for each tile."""
        return (self.tile + KERNEL - 1) ** 2

    @property
    def tiles(self) -> int:
        """Of one image."""
        return math.prod(axis.out for axis in self.outputs())

    def inputs(self) -> tuple[Axis, Axis]:
        """The patches as windows over the inputs."""
        rows, columns = (
            Axis(axis.size, -(-axis.out // self.tile), self.tile + KERNEL - 1, self.tile, begin=axis.begin)
            for axis in self.axes
        )
        return rows, columns

    def outputs(self) -> tuple[Axis, Axis]:
        """The tiles as windows over the outputs, side by side."""
        rows, columns = (Axis(axis.out, -(-axis.out // self.tile), self.tile, self.tile) for axis in self.axes)
        return rows, columns

    def backward(self) -> Winograd:
        """The convolution of the output's gradient that gives the input's, with the kernel turned round."""
        rows, columns = (Axis(axis.out, axis.size, KERNEL, begin=KERNEL - 1 - axis.begin) for axis in self.axes)
        return Winograd((rows, columns), self.tile)

    def patch_matrix(self) -> np.ndarray:
        """From the patch to the points: points × patch."""
        return _of_both_axes(filtering(self.tile, KERNEL).patch)

    def taps_matrix(self) -> np.ndarray:
        """From the kernel to the points: points × 9."""
        return _of_both_axes(filtering(self.tile, KERNEL).taps)

    def back_matrix(self) -> np.ndarray:
        """From the points to the tile: tile × points."""
        return _of_both_axes(filtering(self.tile, KERNEL).back)


def convolve(node: Node, g: Graph, conv: Winograd) -> Value:
    """Conv(x N×C×H×W, w M×C×3×3, [b M]) → y."""
    x = node.inputs[0]
    read = _read(g, x, conv)
    g.remember(_key(x, conv), (read,))
    tiles = _tiles(g, g.op("MatMul", _weights(node, g, 1, conv.taps_matrix()), read), conv)
    y, order = from_tiles(g, add_bias(g, node, tiles, rank=3), conv.outputs())
    return batch_first(g, y, order)


def input_gradient(node: Node, g: Graph, conv: Winograd) -> Value:
    """Dx of ConvGrad(dy, x, w)."""
    back = conv.backward()
    turned = _weights(node, g, 2, conv.taps_matrix()[:, ::-1])
    product = g.op("MatMul", g.op("Transpose", turned, perm=[0, 2, 1]), _read(g, node.inputs[0], back))
    return batch_first(g, *from_tiles(g, _tiles(g, product, back), back.outputs()))


def weight_gradient(node: Node, g: Graph, conv: Winograd) -> Value:
    """Dw of ConvGrad(dy, x, w): what leads from weights to outputs, backwards."""
    dy, x = node.inputs[:2]
    (read,) = g.recall(_key(x, conv))
    tiles = pick(g, dy, conv.outputs())
    by_point = g.op("Transpose", g.op("MatMul", g.floats(conv.back_matrix().T), tiles), perm=[1, 0, 2])
    products = g.op("MatMul", by_point, g.op("Transpose", read, perm=[0, 2, 1]))
    dw = g.op("Gemm", matrix(g, products), g.floats(conv.taps_matrix()), transA=1)
    return g.op("Reshape", dw, g.ints([int(size) for size in node.input_shape(2)]))


def _read(g: Graph, images: Value, conv: Winograd) -> Value:
    """What the tiles read of N×C×H×W, at the points: points × C × (tiles · N)."""
    at_points = g.op("MatMul", g.floats(conv.patch_matrix()), pick(g, images, conv.inputs()))
    return g.op("Transpose", at_points, perm=[1, 0, 2])


def _weights(node: Node, g: Graph, index: int, matrix_of_taps: np.ndarray) -> Value:
    """The weights, an input of `node`, at the points: points × M × C."""
    outputs, channels = (int(size) for size in node.input_shape(index)[:2])
    kernels = g.op("Reshape", node.inputs[index], g.ints([outputs * channels, KERNEL * KERNEL]))
    at_points = g.op("Gemm", g.floats(matrix_of_taps), kernels, transB=1)
    return g.op("Reshape", at_points, g.ints([len(matrix_of_taps), outputs, channels]))


def _tiles(g: Graph, product: Value, conv: Winograd) -> Value:
    """Points × M × (tiles · N) as M × tile × (tiles · N)."""
    return g.op("MatMul", g.floats(conv.back_matrix()), g.op("Transpose", product, perm=[1, 0, 2]))


def _of_both_axes(along_one: np.ndarray) -> np.ndarray:
    product: np.ndarray = np.kron(along_one, along_one)
    return product


def _key(x: Value, conv: Winograd) -> str:
    return f"winograd/{x}/{conv}"
