"""Gradients of convolutions, in convolutions.

Source of the identities: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.errors import LoweringError
from pipeline.lowering import depthwise, narrow_conv
from pipeline.lowering.depthwise import depthwise_of
from pipeline.lowering.graph import Graph, Value
from pipeline.lowering.layout import batch_first, batch_last, known_batch_last
from pipeline.lowering.rules import Node, lowers
from pipeline.lowering.windows import fit, pads_of, reach_of

# Elements that the taps of a kernel read, for one image: beyond, they would take too much memory at once.
_PATCHES_LIMIT = 2**18


@dataclass(frozen=True)
class _Convolution:
    """Sizes of a convolution over any number of spatial axes."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads_begin: tuple[int, ...]
    pads_end: tuple[int, ...]
    group: int

    @classmethod
    def of(cls, node: Node, size: Sequence[int]) -> _Convolution:
        """The convolution of `node`, whose third input are its weights, over an input of `size`."""
        kernel = tuple(int(length) for length in node.input_shape(2)[2:])
        axes = len(kernel)
        strides = tuple(node.attributes.get("strides", [1] * axes))
        dilations = tuple(node.attributes.get("dilations", [1] * axes))
        begins, ends = pads_of(node.attributes, size, reach_of(kernel, dilations), strides)
        return cls(kernel, strides, dilations, begins, ends, int(node.attributes.get("group", 1)))

    @property
    def taps(self) -> int:
        """Pixels of the kernel."""
        return math.prod(self.kernel)

    @property
    def is_padded(self) -> bool:
        """Whether there is padding."""
        return any((*self.pads_begin, *self.pads_end))

    @property
    def is_pointwise(self) -> bool:
        """Whether it is one product for all pixels."""
        return self.taps == 1 and set(self.strides) == {1} and not self.is_padded and self.group == 1

    @property
    def reach(self) -> tuple[int, ...]:
        """Extent of the dilated kernel along each axis."""
        return reach_of(self.kernel, self.dilations)


@lowers("Conv")
def convolution(node: Node, g: Graph) -> Value:
    """Conv(x N×C×H×W, w M×C/G×KH×KW, [b M]) → y: a depthwise one tiled, a pointwise one a product for the batch."""
    apart = depthwise_of(node, *node.input_shapes[:2])
    if apart and apart.is_tiled:
        return depthwise.convolve(node, g, apart)
    if narrow_conv.is_narrow(node, *node.input_shapes[:2]):
        return narrow_conv.convolve(node, g)
    if known_batch_last(g, node.inputs[0]) and _is_pointwise(node):
        return _pointwise(node, g)
    return g.op("Conv", *node.inputs, **node.attributes)


@lowers("ConvGrad")
def conv_grad(node: Node, g: Graph) -> tuple[Value, ...]:
    """ConvGrad(dy N×M×OH×OW, x N×C×H×W, w M×C/G×KH×KW) → dx, dw, db."""
    dy, x, w = node.inputs[:3]
    conv = _Convolution.of(node, _spatial(node, 1))
    apart = depthwise_of(node, *node.input_shapes[1:3])
    dx = dw = ""
    if node.wants(0):
        if apart and apart.is_tiled:
            dx = depthwise.input_gradient(g, apart, dy, w)
        elif conv.is_pointwise and known_batch_last(g, x):
            dx = _pointwise_input_gradient(node, g)
        else:
            dx = _input_gradient(node, g, conv, dy, w)
    if node.wants(1):
        if apart:
            dw = depthwise.weight_gradient(g, apart, dy, x, w)
        elif narrow_conv.is_narrow(node, *node.input_shapes[1:3]):
            dw = narrow_conv.weight_gradient(node, g)
        elif conv.is_pointwise and known_batch_last(g, x):
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
    conv = _Convolution.of(node, _spatial(node, 0))
    _check_transposed(node, conv)
    swapped = replace(
        node,
        inputs=(x, dy, w),
        input_shapes=(node.input_shape(1), node.input_shape(0), node.input_shape(2)),
    )
    return (
        _strided(swapped, g, conv, dy, w) if node.wants(0) else "",
        _weight_gradient(swapped, g, conv) if node.wants(1) else "",
        _bias_gradient(node, g) if node.wants(2) else "",
    )


def _check_transposed(node: Node, conv: _Convolution) -> None:
    """Refuses what ONNX Runtimes compute differently from each other, or not at all."""
    extra = node.attributes.get("output_padding", [0] * len(conv.kernel))
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


def _strided(node: Node, g: Graph, conv: _Convolution, x: Value, w: Value) -> Value:
    """The convolution of x itself, with exactly as many outputs as `node` has gradients of them."""
    fitted, pads = fit(g, x, _spatial(node, 1), conv.pads_begin, _ends(node, conv))
    return g.op("Conv", fitted, w, strides=conv.strides, dilations=conv.dilations, pads=pads, group=conv.group)


def _ends(node: Node, conv: _Convolution) -> list[int]:
    """Padding at the end of `node`'s input, cut by what the stride never reached."""
    return [
        (out - 1) * stride + reach - length - begin
        for out, stride, reach, length, begin in zip(
            _spatial(node, 0), conv.strides, conv.reach, _spatial(node, 1), conv.pads_begin, strict=True
        )
    ]


def _is_pointwise(node: Node) -> bool:
    """Whether a Conv is one product for all pixels of an image of two axes."""
    shape = node.input_shapes[1]
    plain = {1} >= set(node.attributes.get("strides", [])) and not any(node.attributes.get("pads", []))
    automatic = node.attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID")
    grouped = node.attributes.get("group", 1) != 1
    return shape is not None and shape[2:] == (1, 1) and plain and not automatic and not grouped


def _pointwise(node: Node, g: Graph) -> Value:
    """Conv of one pixel, of all images at once: M×C times C×(H·W·N)."""
    product = g.op("MatMul", _matrix(g, node.inputs[1]), _matrix(g, batch_last(g, node.inputs[0])))
    if len(node.inputs) > 2 and node.inputs[2]:
        product = g.op("Add", product, g.op("Reshape", node.inputs[2], g.ints([-1, 1])))
    _, _, height, width = node.input_shape(0)
    return batch_first(g, g.op("Reshape", product, g.ints([0, int(height), int(width), -1])))


def _pointwise_input_gradient(node: Node, g: Graph) -> Value:
    """C×M times M×(H·W·N)."""
    dy, _, w = node.inputs[:3]
    product = g.op("Gemm", _matrix(g, w), _matrix(g, batch_last(g, dy)), transA=1)
    return batch_first(g, g.op("Reshape", product, g.ints([0, *_spatial(node, 1), -1])))


def _pointwise_weight_gradient(node: Node, g: Graph) -> Value:
    """M×(H·W·N) times (H·W·N)×C."""
    dy, x = node.inputs[:2]
    dw = g.op("Gemm", _matrix(g, batch_last(g, dy)), _matrix(g, batch_last(g, x)), transB=1)
    return g.op("Reshape", dw, g.ints([0, 0, 1, 1]))


def _matrix(g: Graph, value: Value) -> Value:
    """The first axis by all others."""
    return g.op("Reshape", value, g.ints([0, -1]))


def _input_gradient(node: Node, g: Graph, conv: _Convolution, dy: Value, w: Value) -> Value:
    """The transposed convolution, made as large as the input where the stride left a rest."""
    axes = len(conv.kernel)
    if conv.is_pointwise:
        return g.op("Conv", dy, g.op("Transpose", w, perm=[1, 0, *range(2, 2 + axes)]))
    rests = [
        (size + begin + end - reach) % stride
        for size, begin, end, reach, stride in zip(
            _spatial(node, 1), conv.pads_begin, conv.pads_end, conv.reach, conv.strides, strict=True
        )
    ]
    return g.op(
        "ConvTranspose",
        dy,
        w,
        kernel_shape=conv.kernel,
        strides=conv.strides,
        dilations=conv.dilations,
        pads=conv.pads_begin + conv.pads_end,
        output_padding=rests,
        group=conv.group,
    )


def _weight_gradient(node: Node, g: Graph, conv: _Convolution) -> Value:
    outputs = math.prod(_spatial(node, 0))
    if conv.group == 1 and conv.taps * int(node.input_shape(1)[1]) * outputs <= _PATCHES_LIMIT:
        return _product_with_patches(node, g, conv)
    return _convolution_with_gradient(node, g, conv)


def _product_with_patches(node: Node, g: Graph, conv: _Convolution) -> Value:
    """For each image the output's gradient times what each tap read (im2col), summed over the batch."""
    dy, x = node.inputs[:2]
    channels = int(node.input_shape(1)[1])
    if conv.is_pointwise:
        patches = x
    else:
        padded = g.op("Pad", x, g.ints([0, 0, *conv.pads_begin, 0, 0, *conv.pads_end])) if conv.is_padded else x
        patches = g.op("Concat", *(_read_by(node, g, conv, padded, tap) for tap in np.ndindex(*conv.kernel)), axis=1)
    by_pixel = g.op("Transpose", g.op("Reshape", patches, g.ints([0, conv.taps * channels, -1])), perm=[0, 2, 1])
    gradient = g.op("Reshape", dy, g.ints([0, int(node.input_shape(0)[1]), -1]))
    summed = g.sum(g.op("MatMul", gradient, by_pixel), [0])
    by_tap = g.op("Reshape", summed, g.ints([0, conv.taps, channels]))
    shape = g.ints([0, channels, *conv.kernel])
    return g.op("Reshape", g.op("Transpose", by_tap, perm=[0, 2, 1]) if conv.taps > 1 else by_tap, shape)


def _read_by(node: Node, g: Graph, conv: _Convolution, padded: Value, tap: Sequence[int]) -> Value:
    """What one tap of the kernel reads, in the shape of the output but for the channels."""
    starts = [position * dilation for position, dilation in zip(tap, conv.dilations, strict=True)]
    ends = [
        start + (out - 1) * stride + 1
        for start, out, stride in zip(starts, _spatial(node, 0), conv.strides, strict=True)
    ]
    axes = g.ints(list(range(2, 2 + len(starts))))
    return g.op("Slice", padded, g.ints(starts), g.ints(ends), axes, g.ints(list(conv.strides)))


def _convolution_with_gradient(node: Node, g: Graph, conv: _Convolution) -> Value:
    """The input convolved with the output's gradient: batch and channels swap places, strides and dilations too."""
    dy, x = node.inputs[:2]
    channels = int(node.input_shape(1)[1]) // conv.group
    size = _spatial(node, 1)
    axes = len(conv.kernel)
    if conv.group == 1:
        images = g.op("Transpose", x, perm=[1, 0, *range(2, 2 + axes)])
    else:
        grouped = g.op("Reshape", x, g.ints([0, conv.group, channels, *size]))
        moved = g.op("Transpose", grouped, perm=[2, 1, 0, *range(3, 3 + axes)])
        images = g.op("Reshape", moved, g.ints([channels, -1, *size]))
    gradient = g.op("Transpose", dy, perm=[1, 0, *range(2, 2 + axes)])
    # With the end fitted the result has the kernel's size exactly.
    fitted, pads = fit(g, images, size, conv.pads_begin, _ends(node, conv))
    dw = g.op("Conv", fitted, gradient, strides=conv.dilations, dilations=conv.strides, pads=pads, group=conv.group)
    return g.op("Transpose", dw, perm=[1, 0, *range(2, 2 + axes)])
