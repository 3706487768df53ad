"""Windows that slide over an input: a convolution's kernel, a pooling window, or patches that tiles of outputs read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.graphs.graph import Graph, Shape, Value


@dataclass(frozen=True)
class Axis:
    """One axis along which a window slides.

    Attributes:
      size: length of the input.
      out: places of the window, one for each output.
      kernel: taps of the window.
      stride: inputs between two places.
      dilation: inputs between two taps.
      begin, end: padding before and behind the input.
    """

    size: int
    out: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    begin: int = 0
    end: int = 0

    @property
    def reach(self) -> int:
        """Inputs from the first tap to the last."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def read_end(self) -> int:
        """Padding that is read behind the input; below 0 where the last inputs are not read."""
        return (self.out - 1) * self.stride + self.reach - self.begin - self.size

    def reads(self) -> np.ndarray:
        """Which input each tap reads for each output, in the padding below 0 or from `size` on: kernel × out."""
        taps = np.arange(self.kernel)[:, None] * self.dilation
        read: np.ndarray = taps - self.begin + np.arange(self.out) * self.stride
        return read

    def readers(self) -> tuple[np.ndarray, np.ndarray]:
        """The taps that read each input, and for which outputs: both (windows that overlap) × size.

        The tap is -1 where fewer windows read the input. For a dilation of 1 and no padding.
        """
        last, overlap = np.arange(self.size) // self.stride, -(-self.kernel // self.stride)
        outputs = last - np.arange(overlap)[:, None]
        taps = np.arange(self.size) - outputs * self.stride
        inside = (outputs >= 0) & (outputs < self.out) & (taps < self.kernel)
        return np.where(inside, taps, -1), outputs


def axes_of(
    attributes: Mapping[str, Any], size: Sequence[int], kernel: Sequence[int], outputs: Sequence[int] | None = None
) -> tuple[Axis, ...]:
    """The axes of a convolution or pooling by its attributes, with `auto_pad` resolved.

    Args:
      attributes: of the operator.
      size: of the input, without batch and channels.
      kernel: taps along each axis.
      outputs: where they are not as many as fit in, as with `ceil_mode`.
    """
    strides = attributes.get("strides", [1] * len(kernel))
    dilations = attributes.get("dilations", [1] * len(kernel))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    begins, ends = _pads(attributes, size, reach, strides)
    fitting = [
        (length + begin + end - extent) // stride + 1
        for length, begin, end, extent, stride in zip(size, begins, ends, reach, strides, strict=True)
    ]
    fields = zip(size, outputs or fitting, kernel, strides, dilations, begins, ends, strict=True)
    return tuple(Axis(*(int(value) for value in values)) for values in fields)


def image_axes(attributes: Mapping[str, Any], image: Shape | None, weights: Shape | None) -> tuple[Axis, Axis] | None:
    """Rows and columns of a convolution by its operands' shapes; None where they are unknown, or not of images."""
    if image is None or weights is None or len(image) != 4 or not all(isinstance(size, int) for size in image[1:]):
        return None
    rows, columns = axes_of(attributes, [int(size) for size in image[2:]], [int(size) for size in weights[2:]])
    return rows, columns


def transposed(axes: Sequence[Axis]) -> dict[str, list[int]]:
    """Attributes of the ConvTranspose that leads from the outputs back to inputs of exactly their size."""
    return {
        "kernel_shape": [axis.kernel for axis in axes],
        "strides": [axis.stride for axis in axes],
        "dilations": [axis.dilation for axis in axes],
        "pads": [*(axis.begin for axis in axes), *(max(axis.read_end, 0) for axis in axes)],
        "output_padding": [max(-axis.read_end, 0) for axis in axes],
    }


def fit(g: Graph, value: Value, axes: Sequence[Axis]) -> tuple[Value, list[int]]:
    """`value` (N×C×sizes) without what is not read at its end, and the paddings that are."""
    pads = [*(axis.begin for axis in axes), *(max(axis.read_end, 0) for axis in axes)]
    if min(axis.read_end for axis in axes) >= 0:
        return value, pads
    crop = [axis.size + min(axis.read_end, 0) for axis in axes]
    spatial = list(range(2, 2 + len(axes)))
    return g.op("Slice", value, g.ints([0] * len(axes)), g.ints(crop), g.ints(spatial)), pads


def _pads(
    attributes: Mapping[str, Any], size: Sequence[int], reach: Sequence[int], strides: Sequence[int]
) -> tuple[Sequence[int], Sequence[int]]:
    """Padding before and behind each axis."""
    automatic = attributes.get("auto_pad", b"NOTSET").decode()
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        totals = [
            max((-(-length // stride) - 1) * stride + extent - length, 0)
            for length, extent, stride in zip(size, reach, strides, strict=True)
        ]
        halves = [total // 2 for total in totals]
        rests = [total - half for total, half in zip(totals, halves, strict=True)]
        return (halves, rests) if automatic == "SAME_UPPER" else (rests, halves)
    pads = list(attributes.get("pads", [0] * 2 * len(size)))
    return pads[: len(size)], pads[len(size) :]
