"""Gradients of convolutions, in convolutions.

Source of the identities: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016).
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.lowering.graph import Graph, Value
from pipeline.lowering.rules import Node, lowers


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
    def of(cls, node: Node) -> _Convolution:
        kernel = tuple(int(size) for size in node.input_shape(2)[2:])
        axes = len(kernel)
        pads = tuple(node.attributes.get("pads", [0] * 2 * axes))
        return cls(
            kernel,
            tuple(node.attributes.get("strides", [1] * axes)),
            tuple(node.attributes.get("dilations", [1] * axes)),
            pads[:axes],
            pads[axes:],
            int(node.attributes.get("group", 1)),
        )

    @property
    def reach(self) -> tuple[int, ...]:
        """Extent of the dilated kernel along each axis."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))


@lowers("ConvGrad")
def conv_grad(node: Node, g: Graph) -> tuple[Value, ...]:
    """ConvGrad(dy N×M×OH×OW, x N×C×H×W, w M×C/G×KH×KW) → dx, dw, db."""
    dy, x, w = node.inputs[:3]
    conv = _Convolution.of(node)
    spatial = range(2, 2 + len(conv.kernel))
    return (
        _input_gradient(node, g, conv, dy, w) if node.wants(0) else "",
        _weight_gradient(node, g, conv, dy, x) if node.wants(1) else "",
        g.sum(dy, [0, *spatial]) if node.wants(2) else "",
    )


def _input_gradient(node: Node, g: Graph, conv: _Convolution, dy: Value, w: Value) -> Value:
    """The transposed convolution, made as large as the input where the stride left a rest."""
    rests = [
        (int(size) + begin + end - reach) % stride
        for size, begin, end, reach, stride in zip(
            node.input_shape(1)[2:], conv.pads_begin, conv.pads_end, conv.reach, conv.strides, strict=True
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


def _weight_gradient(node: Node, g: Graph, conv: _Convolution, dy: Value, x: Value) -> Value:
    """The input convolved with the output's gradient: batch and channels swap places, strides and dilations too."""
    channels = int(node.input_shape(1)[1]) // conv.group
    size = tuple(node.input_shape(1)[2:])
    axes = len(conv.kernel)
    if conv.group == 1:
        images = g.op("Transpose", x, perm=[1, 0, *range(2, 2 + axes)])
    else:
        grouped = g.op("Reshape", x, g.ints([0, conv.group, channels, *(int(s) for s in size)]))
        moved = g.op("Transpose", grouped, perm=[2, 1, 0, *range(3, 3 + axes)])
        images = g.op("Reshape", moved, g.ints([channels, -1, *(int(s) for s in size)]))
    gradient = g.op("Transpose", dy, perm=[1, 0, *range(2, 2 + axes)])
    # The end padding is cut by what the stride never reached, so that the result has the kernel's size exactly.
    ends = [
        (int(out) - 1) * stride + reach - int(total) - begin
        for out, stride, reach, total, begin in zip(
            node.input_shape(0)[2:], conv.strides, conv.reach, size, conv.pads_begin, strict=True
        )
    ]
    padded, pads = images, [*conv.pads_begin, *ends]
    if min(ends) < 0:
        crop = [int(total) + min(end, 0) for total, end in zip(size, ends, strict=True)]
        padded = g.op("Slice", images, g.ints([0] * axes), g.ints(crop), g.ints(list(range(2, 2 + axes))))
        pads = [*conv.pads_begin, *(max(end, 0) for end in ends)]
    dw = g.op("Conv", padded, gradient, strides=conv.dilations, dilations=conv.strides, pads=pads, group=conv.group)
    return g.op("Transpose", dw, perm=[1, 0, *range(2, 2 + axes)])
