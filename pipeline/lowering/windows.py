"""Padding of a window that slides over an input: a convolution's kernel or a pooling window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.lowering.graph import Graph, Value


def reach_of(kernel: Sequence[int], dilations: Sequence[int]) -> tuple[int, ...]:
    """Extent of the dilated kernel along each axis."""
    return tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))


def pads_of(
    attributes: Mapping[str, Any], size: Sequence[int], reach: Sequence[int], strides: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Padding before and after each axis of an input of `size`, with `auto_pad` resolved."""
    automatic = attributes.get("auto_pad", b"NOTSET").decode()
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        totals = [
            max((-(-length // stride) - 1) * stride + extent - length, 0)
            for length, extent, stride in zip(size, reach, strides, strict=True)
        ]
        halves = tuple(total // 2 for total in totals)
        rests = tuple(total - half for total, half in zip(totals, halves, strict=True))
        return (halves, rests) if automatic == "SAME_UPPER" else (rests, halves)
    pads = tuple(attributes.get("pads", [0] * 2 * len(size)))
    return pads[: len(size)], pads[len(size) :]


def fit(
    g: Graph, value: Value, size: Sequence[int], begins: Sequence[int], ends: Sequence[int]
) -> tuple[Value, tuple[int, ...]]:
    """`value` (N×C×size) for a convolution with these paddings: where one at the end is negative, it is cut off.

    Returns:
      The value, and the paddings that are left.
    """
    pads = (*begins, *(max(end, 0) for end in ends))
    if min(ends) >= 0:
        return value, pads
    crop = [length + min(end, 0) for length, end in zip(size, ends, strict=True)]
    axes = list(range(2, 2 + len(size)))
    return g.op("Slice", value, g.ints([0] * len(size)), g.ints(crop), g.ints(axes)), pads
