"""Convolutions and their gradients, in convolutions and products.

Source of the identities: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.errors import LoweringError
from pipeline.graphs.graph import Graph, Shape, Value
from pipeline.graphs.node import Node
from pipeline.lowering.convolutions import dense, depthwise
from pipeline.lowering.convolutions.depthwise import depthwise_of
from pipeline.lowering.convolutions.layout import add_bias, batch_first, batch_last, is_batch_last, matrix, order_of
from pipeline.lowering.convolutions.windows import Axis, axes_of, fit, transposed
from pipeline.lowering.rules.registry import lowers

# Elements that the taps of a kernel read, for one image: beyond, they would take too much memory at once.
_PATCHES_LIMIT = 2**18


@dataclass(frozen=True)
class _Convolution:
    """A convolution over any number of spatial axes."""

    axes: tuple[Axis, ...]
    group: int

    @classmethod
    def of(cls, node: Node, image: int, weights: int) -> _Convolution:
        """The convolution that `node` is, or whose gradient, by the places of its operands among the node's inputs."""
        axes = axes_of(node.attributes, _spatial(node, image), _spatial(node, weights))
        return cls(axes, int(node.attributes.get("group", 1)))

    @property
    def kernel(self) -> list[int]:
        """Taps along each axis."""
        return [axis.kernel for axis in self.axes]

    @property
    def taps(self) -> int:
        """Pixels of the kernel."""
        return math.prod(self.kernel)

    @property
    def strides(self) -> list[int]:
        """Inputs between two outputs, along each axis."""
        return [axis.stride for axis in self.axes]

    @property
    def dilations(self) -> list[int]:
        """Inputs between two taps, along each axis."""
        return [axis.dilation for axis in self.axes]

    @property
    def pads(self) -> list[int]:
        """Padding before each axis, then behind each."""
        return [*(axis.begin for axis in self.axes), *(axis.end for axis in self.axes)]

    @property
    def is_pointwise(self) -> bool:
        """Whether it is one product for all pixels."""
        return self.taps == 1 and set(self.strides) == {1} and not any(self.pads) and self.group == 1


@lowers("Conv")
def convolution(node: Node, g: Graph) -> Value:
    """Conv(x N×C×H×W, w M×C/G×KH×KW, [b M]) → y: depthwise and pointwise ones as products for the batch."""
    apart = depthwise_of(node, *node.input_shapes[:2])
    if apart and apart.is_product:
        return depthwise.convolve(node, g, apart)
    form = dense.form_of(node, *node.input_shapes[:2])
    if form:
        return dense.convolve(node, g, form)
    if _is_one_product(g, node.inputs[0], _Convolution.of(node, 0, 1), *node.input_shapes[:2]):
        return _pointwise(node, g)
    return g.op("Conv", *node.inputs, **node.attributes)


@lowers("ConvGrad")
def conv_grad(node: Node, g: Graph) -> tuple[Value, ...]:
    """ConvGrad(dy N×M×OH×OW, x N×C×H×W, w M×C/G×KH×KW) → dx, dw, db."""
    dy, x, w = node.inputs[:3]
    conv = _Convolution.of(node, 1, 2)
    apart = depthwise_of(node, *node.input_shapes[1:3])
    form = dense.form_of(node, *node.input_shapes[1:3])
    one_product = _is_one_product(g, x, conv, *node.input_shapes[1:3])
    dx = dw = ""
    if node.wants(0):
        if apart and apart.is_product:
            dx = depthwise.input_gradient(g, apart, dy, w)
        elif form:
            dx = dense.input_gradient(node, g, form)
        elif one_product:
            dx = _pointwise_input_gradient(node, g)
        else:
            dx = _input_gradient(g, conv, dy, w)
    if node.wants(1):
        if apart:
            dw = depthwise.weight_gradient(g, apart, dy, x)
        elif form:
            dw = dense.weight_gradient(node, g, form)
        elif one_product:
            dw = _pointwise_weight_gradient(node, g)
        else:
            dw = _weight_gradient(node, g, conv)
    return dx, dw, _bias_gradient(node, g) if node.wants(2) else ""


@lowers("ConvTransposeGrad")
def conv_transpose_grad(node: Node, g: Graph) -> tuple[Value, ...]:
    """ConvTransposeGrad(dy N×M×OH×OW, x N×C×H×W, w C×M/G×KH×KW) → dx, dw, db.

    The convolution whose input gradient it is, forward; x and dy change places in the gradient of its weights.
    """
    dy, x, w = node.inputs[:3]
    conv = _Convolution.of(node, 0, 2)
    _check_transposed(node, conv)
    swapped = replace(
        node,
        inputs=(x, dy, w),
        input_shapes=(node.input_shape(1), node.input_shape(0), node.input_shape(2)),
    )
    return (
        _strided(g, conv, dy, w) if node.wants(0) else "",
        _weight_gradient(swapped, g, conv) if node.wants(1) else "",
        _bias_gradient(node, g) if node.wants(2) else "",
    )


def _check_transposed(node: Node, conv: _Convolution) -> None:
    """Refuses what ONNX Runtimes compute differently from each other, or not at all."""
    extra = node.attributes.get("output_padding", [0] * len(conv.axes))
    too_large = any(e >= stride for e, stride in zip(extra, conv.strides, strict=True))
    if too_large or node.attributes.get("auto_pad", b"NOTSET") != b"NOTSET" or "output_shape" in node.attributes:
        raise LoweringError(
            f"ConvTranspose (node {node.name!r}) cannot be lowered with auto_pad, output_shape, or an output_padding "
            "that is not below the stride: give pads, and a smaller output_padding"
        )


def _spatial(node: Node, index: int) -> tuple[int, ...]:
    return tuple(int(length) for length in node.input_shape(index)[2:])


def _bias_gradient(node: Node, g: Graph) -> Value:
    return g.sum(node.inputs[0], [0, *range(2, len(node.input_shape(0)))])


def _strided(g: Graph, conv: _Convolution, x: Value, w: Value) -> Value:
    """The convolution of x itself."""
    fitted, pads = fit(g, x, conv.axes)
    return g.op("Conv", fitted, w, strides=conv.strides, dilations=conv.dilations, pads=pads, group=conv.group)


def _is_one_product(g: Graph, x: Value, conv: _Convolution, image: Shape | None, weights: Shape | None) -> bool:
    """Whether a pointwise convolution of images is computed with the batch last: they are so, or small.

    A product for each image reads weights, and writes their gradient, each time; where these are more than what the
    product is of and makes, one product for all is faster (docs/decisions.md).
    """
    if not conv.is_pointwise or image is None or weights is None or len(image) != 4:
        return False
    outputs, channels = (int(size) for size in weights[:2])
    pixels = math.prod(axis.size for axis in conv.axes)
    return is_batch_last(g, x) or outputs * channels > pixels * (outputs + channels)


def _pointwise(node: Node, g: Graph) -> Value:
    """Conv of one pixel, of all images at once: M×C times C×(H·W·N)."""
    x, w = node.inputs[:2]
    order = order_of(g, x)
    product = g.op("MatMul", matrix(g, w), matrix(g, batch_last(g, x, order)))
    biased = add_bias(g, node, product, rank=2)
    return batch_first(g, g.op("Reshape", biased, g.ints([0, *_spatial(node, 0), -1])), order)


def _pointwise_input_gradient(node: Node, g: Graph) -> Value:
    """C×M times M×(H·W·N)."""
    dy, x, w = node.inputs[:3]
    order = order_of(g, x)
    product = g.op("Gemm", matrix(g, w), matrix(g, batch_last(g, dy, order)), transA=1)
    return batch_first(g, g.op("Reshape", product, g.ints([0, *_spatial(node, 1), -1])), order)


def _pointwise_weight_gradient(node: Node, g: Graph) -> Value:
    """M×(H·W·N) times (H·W·N)×C."""
    dy, x = node.inputs[:2]
    gradient, image = (matrix(g, batch_last(g, value, order_of(g, x))) for value in (dy, x))
    dw = g.op("Gemm", gradient, image, transB=1)
    return g.op("Reshape", dw, g.ints([0, 0, 1, 1]))


def _input_gradient(g: Graph, conv: _Convolution, dy: Value, w: Value) -> Value:
    """The transposed convolution, made as large as the input where the stride left a rest."""
    if conv.is_pointwise:
        return g.op("Conv", dy, g.op("Transpose", w, perm=[1, 0, *range(2, 2 + len(conv.axes))]))
    return g.op("ConvTranspose", dy, w, **transposed(conv.axes), group=conv.group)


def _weight_gradient(node: Node, g: Graph, conv: _Convolution) -> Value:
    outputs = math.prod(_spatial(node, 0))
    if conv.group == 1 and conv.taps * int(node.input_shape(1)[1]) * outputs <= _PATCHES_LIMIT:
        return _product_with_patches(node, g, conv)
    return _convolution_with_gradient(node, g, conv)


def _product_with_patches(node: Node, g: Graph, conv: _Convolution) -> Value:
    """For each image the output's gradient times what each tap read (im2col), summed over the batch."""
    dy, x = node.inputs[:2]
    channels = int(node.input_shape(1)[1])
    begins, ends = conv.pads[: len(conv.axes)], conv.pads[len(conv.axes) :]
    if conv.is_pointwise:
        patches = x
    else:
        padded = g.op("Pad", x, g.ints([0, 0, *begins, 0, 0, *ends])) if any(conv.pads) else x
        patches = g.op("Concat", *(_read_by(g, conv, padded, tap) for tap in np.ndindex(*conv.kernel)), axis=1)
    by_pixel = g.op("Transpose", g.op("Reshape", patches, g.ints([0, conv.taps * channels, -1])), perm=[0, 2, 1])
    gradient = g.op("Reshape", dy, g.ints([0, int(node.input_shape(0)[1]), -1]))
    summed = g.sum(g.op("MatMul", gradient, by_pixel), [0])
    by_tap = g.op("Reshape", summed, g.ints([0, conv.taps, channels]))
    shape = g.ints([0, channels, *conv.kernel])
    return g.op("Reshape", g.op("Transpose", by_tap, perm=[0, 2, 1]) if conv.taps > 1 else by_tap, shape)


def _read_by(g: Graph, conv: _Convolution, padded: Value, tap: Sequence[int]) -> Value:
    """What one tap of the kernel reads, in the shape of the output but for the channels."""
    reads = [axis.reads()[position] + axis.begin for axis, position in zip(conv.axes, tap, strict=True)]
    starts, ends = [read[0] for read in reads], [read[-1] + 1 for read in reads]
    spatial = g.ints(list(range(2, 2 + len(reads))))
    return g.op("Slice", padded, g.ints(starts), g.ints(ends), spatial, g.ints(conv.strides))


def _convolution_with_gradient(node: Node, g: Graph, conv: _Convolution) -> Value:
    """The input convolved with the output's gradient: batch and channels swap places, strides and dilations too."""
    dy, x = node.inputs[:2]
    channels = int(node.input_shape(1)[1]) // conv.group
    size = _spatial(node, 1)
    axes = len(conv.axes)
    if conv.group == 1:
        images = g.op("Transpose", x, perm=[1, 0, *range(2, 2 + axes)])
    else:
        grouped = g.op("Reshape", x, g.ints([0, conv.group, channels, *size]))
        moved = g.op("Transpose", grouped, perm=[2, 1, 0, *range(3, 3 + axes)])
        images = g.op("Reshape", moved, g.ints([channels, -1, *size]))
    gradient = g.op("Transpose", dy, perm=[1, 0, *range(2, 2 + axes)])
    # With the end fitted the result has the kernel's size exactly.
    fitted, pads = fit(g, images, conv.axes)
    dw = g.op("Conv", fitted, gradient, strides=conv.dilations, dilations=conv.strides, pads=pads, group=conv.group)
    return g.op("Transpose", dw, perm=[1, 0, *range(2, 2 + axes)])
