"""Gradients of convolutions, in convolutions.

Source of the identities: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.errors import LoweringError
from pipeline.lowering.graph import Graph, Value
from pipeline.lowering.rules import Node, lowers
from pipeline.lowering.windows import fit, pads_of, reach_of


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
    def reach(self) -> tuple[int, ...]:
        """Extent of the dilated kernel along each axis."""
        return reach_of(self.kernel, self.dilations)


@lowers("ConvGrad")
def conv_grad(node: Node, g: Graph) -> tuple[Value, ...]:
    """ConvGrad(dy N×M×OH×OW, x N×C×H×W, w M×C/G×KH×KW) → dx, dw, db."""
    dy, _, w = node.inputs[:3]
    conv = _Convolution.of(node, _spatial(node, 1))
    return (
        _input_gradient(node, g, conv, dy, w) if node.wants(0) else "",
        _weight_gradient(node, g, conv) if node.wants(1) else "",
        _bias_gradient(node, g) if node.wants(2) else "",
    )


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


def _input_gradient(node: Node, g: Graph, conv: _Convolution, dy: Value, w: Value) -> Value:
    """The transposed convolution, made as large as the input where the stride left a rest."""
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
