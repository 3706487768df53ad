"""Maximum pooling whose windows lie where no operator of the standard has them, or that tells each maximum's place.

A window is the places of its elements in a plane, all axes of an image as one; a maximum is read from its place, so
that it takes its window's gradient. Of equal elements it is the first, as torch has it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def max_pool_with_indices(
    axes: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """Torch's of that name over the last axes of a tensor."""
    windows, paddings, dilations = (_each(option, axes) for option in (kernel_size, padding, dilation))
    strides = _each(stride, axes) if stride else windows
    along = zip(input.shape[-axes:], windows, strides, paddings, dilations, strict=True)
    return _pooled(input, [_strided(*options, ceil_mode=ceil_mode) for options in along])


def _strided(size: int, window: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> list[list[int]]:
    """Along one axis the places of each window."""
    rest = size + 2 * padding - dilation * (window - 1) - 1
    count = -(-rest // stride) + 1 if ceil_mode else rest // stride + 1
    # A window that would begin behind the image and its padding is left out.
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1
    places = [range(first * stride - padding, size, dilation)[:window] for first in range(count)]
    return [[place for place in window if place >= 0] for window in places]


def adaptive_max_pool(axes: int, input: Tensor, output_size: Any, return_indices: bool = False) -> Tensor:
    """Torch's of that name over the last axes of a tensor."""
    pairs = _counts(axes, input, output_size)
    if not any(size % count for size, count in pairs):
        return _MAX_POOL[axes](input, [size // count for size, count in pairs])
    return adaptive_max_pool_with_indices(axes, input, output_size)[0]


def adaptive_max_pool_with_indices(
    axes: int, input: Tensor, output_size: Any, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """Torch's of that name over the last axes of a tensor."""
    return _pooled(input, [_adaptive(size, count) for size, count in _counts(axes, input, output_size)])


def _counts(axes: int, x: Tensor, output_size: Any) -> list[tuple[int, int]]:
    """Of each axis its size and how many windows it has."""
    pairs = zip(x.shape[-axes:], _each(output_size, axes), strict=True)
    return [(size, size if count is None else int(count)) for size, count in pairs]


_MAX_POOL: dict[int, Callable[..., Tensor]] = {
    1: functional.max_pool1d,
    2: functional.max_pool2d,
    3: functional.max_pool3d,
}


def _adaptive(size: int, count: int) -> list[list[int]]:
    return [list(range(i * size // count, -(-(i + 1) * size // count))) for i in range(count)]


def _each(option: Any, axes: int) -> list[Any]:
    given = list(option) if isinstance(option, (tuple, list)) else [option]
    return given if len(given) == axes else given * axes


def _pooled(x: Tensor, along: Sequence[list[list[int]]]) -> tuple[Tensor, Tensor]:
    """Maxima …×O, and their places in a plane, of the windows that each axis has."""
    sizes = x.shape[x.dim() - len(along) :]
    windows = [_product(window, sizes) for window in itertools.product(*along)]
    longest = max(map(len, windows))
    # Windows of one length: an element that is there twice changes nothing.
    table = torch.tensor([window + window[-1:] * (longest - len(window)) for window in windows])
    flat = x.flatten(x.dim() - len(along))
    with torch.no_grad():
        best = flat[..., table].argmax(-1)
        places = table.flatten()[best + torch.arange(0, len(windows) * longest, longest)]
    shape = [*x.shape[: x.dim() - len(along)], *map(len, along)]
    return flat.gather(-1, places).view(shape), places.view(shape)


def _product(window: Sequence[Sequence[int]], sizes: Sequence[int]) -> list[int]:
    """The places in a plane of the elements that are at these places along its axes."""
    strides = [math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
    return [sum(p * s for p, s in zip(places, strides, strict=True)) for places in itertools.product(*window)]


def fractional_max_pool(
    axes: int,
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Torch's of that name: windows at random distances from one another. Graham, arXiv:1412.6071.

    Args:
      axes: how many of the last ones are pooled.
      input: N×C×… or C×….
      kernel_size: of the windows.
      output_size: how many windows.
      output_ratio: or their number as a share of the size.
      return_indices: torch's; the places are given always.
      _random_samples: from 0 to 1, N×C×axes.
    """
    sizes = input.shape[-axes:]
    if output_size is None:
        ratios = _each(output_ratio, axes)
        output_size = [int(size * ratio) for size, ratio in zip(sizes, ratios, strict=True)]
    counts, windows = _each(output_size, axes), _each(kernel_size, axes)
    x = input if input.dim() == axes + 2 else input.unsqueeze(0)
    samples = torch.rand(*x.shape[:2], axes) if _random_samples is None else _random_samples
    # Torch has the sample of the last axis of a plane first, and of a volume last.
    order = (1, 0) if axes == 2 else (0, 1, 2)
    places = x.new_zeros([1] * (2 + 2 * axes), dtype=torch.int64)
    for axis, (size, count, window) in enumerate(zip(sizes, counts, windows, strict=True)):
        starts = _spaced(samples[..., order[axis]], size, count, window)
        along = starts.unsqueeze(-1) + torch.arange(window)
        # N×C×(the windows of each axis)×(the elements of a window along each).
        shape = [*x.shape[:2], *[1] * (2 * axes)]
        shape[2 + axis], shape[2 + axes + axis] = count, window
        places = places * size + along.view(shape)
    flat, places = x.flatten(2), places.flatten(-axes).flatten(2, -2)
    with torch.no_grad():
        elements = flat.gather(2, places.flatten(2)).view(places.shape)
        places = places.gather(3, elements.argmax(3, keepdim=True)).squeeze(3)
    shape = [*input.shape[:-axes], *counts]
    return flat.gather(2, places).view(shape), places.view(shape)


def _spaced(sample: Tensor, size: int, count: int, window: int) -> Tensor:
    """Where the windows of each plane start along an axis: int64 N×C×count; the last one ends with it."""
    distance = (size - window) / (count - 1) if count > 1 else 0.0
    first = sample.unsqueeze(-1)
    starts = ((torch.arange(count - 1) + first) * distance).floor() - (first * distance).floor()
    return torch.cat([starts, torch.full_like(first, size - window)], -1).long()
