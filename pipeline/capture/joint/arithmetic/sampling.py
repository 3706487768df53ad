"""Reading an image at places that are computed, as spatial transformers do. Jaderberg et al., arXiv:1506.02025."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

# Of torch's cubic convolution. Keys, 1981.
_CUBIC = -0.75


@dataclass(frozen=True)
class _Tap:
    """A neighbour of each place along one axis: which, of float32, and its share; None where it is all."""

    place: Tensor
    share: Tensor | None


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Torch's of that name, as rows of channels that are taken as an embedding's.

    Args:
      input: N×C×H×W or N×C×D×H×W.
      grid: N×OH×OW×2 or N×OD×OH×OW×3, places from −1 to 1, of the last axis first.
      mode: bilinear, nearest or bicubic.
      padding_mode: zeros, border or reflection.
      align_corners: whether −1 is the middle of the first pixel, or its border.
    """
    sizes, corners = [int(size) for size in input.shape[2:]], bool(align_corners)
    along = []
    for axis, size in enumerate(sizes):
        place = grid[..., len(sizes) - 1 - axis]
        place = (place + 1) * ((size - 1) / 2) if corners else ((place + 1) * size - 1) / 2
        along.append(_taps(place, size, mode, padding_mode, corners))
    rows = input.flatten(2).transpose(1, 2).flatten(0, 1)
    first = torch.arange(input.shape[0]).view(-1, *[1] * len(sizes))
    total: Tensor | None = None
    for taps in itertools.product(*along):
        part = _read(rows, first, sizes, taps)
        total = part if total is None else total + part
    assert total is not None
    return total.movedim(-1, 1)


def _read(rows: Tensor, first: Tensor, sizes: list[int], taps: tuple[_Tap, ...]) -> Tensor:
    """N×OH×OW×C: the pixel at a place of each axis, times its shares; 0 outside of the image."""
    index, share = first, None
    for tap, size in zip(taps, sizes, strict=True):
        place = tap.place.detach()
        inside = ((place >= 0) & (place <= size - 1)).to(rows.dtype)
        part = inside if tap.share is None else tap.share * inside
        share = part if share is None else share * part
        index = index * size + place.clamp(0, size - 1).long()
    assert share is not None
    return functional.embedding(index, rows) * share.unsqueeze(-1)


def _taps(place: Tensor, size: int, mode: str, padding: str, corners: bool) -> list[_Tap]:
    if mode == "nearest":
        return [_Tap(_padded(place, size, padding, corners).round(), None)]
    if mode == "bilinear":
        place = _padded(place, size, padding, corners)
    before = place.detach().floor()
    t = place - before
    if mode == "bilinear":
        return [_Tap(before, 1 - t), _Tap(before + 1, t)]
    shares = _far(t + 1), _near(t), _near(1 - t), _far(2 - t)
    return [_Tap(_padded(before + k - 1, size, padding, corners), share) for k, share in enumerate(shares)]


def _near(t: Tensor) -> Tensor:
    return ((_CUBIC + 2) * t - (_CUBIC + 3)) * t * t + 1


def _far(t: Tensor) -> Tensor:
    return ((_CUBIC * t - 5 * _CUBIC) * t + 8 * _CUBIC) * t - 4 * _CUBIC


def _padded(place: Tensor, size: int, padding: str, corners: bool) -> Tensor:
    if padding == "zeros":
        return place
    if padding == "reflection":
        place = _reflected(place, 0.0 if corners else -0.5, size - 1.0 if corners else size - 0.5)
    # At the bounds torch has no gradient.
    inside = (place > 0) & (place < size - 1)
    return torch.where(inside, place, place.detach().clamp(0, size - 1))


def _reflected(place: Tensor, low: float, high: float) -> Tensor:
    span = high - low
    if not span:
        return torch.zeros_like(place)
    distance = (place - low).abs()
    turns = (distance.detach() / span).floor()
    rest = distance - turns * span
    back = turns - 2 * (turns / 2).floor() > 0
    return torch.where(back, span - rest, rest) + low


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """Torch's of that name: N×OH×OW×2 of theta N×2×3, N×OD×OH×OW×3 of theta N×3×4; the batch is theta's."""
    sizes = [int(length) for length in size[2:]]
    along = [_places(length, bool(align_corners)) for length in sizes]
    meshed = torch.meshgrid(*along, indexing="ij")
    places = torch.stack([*reversed(meshed), torch.ones(sizes)], -1).flatten(0, -2)
    return (places @ theta.transpose(1, 2)).view(-1, *sizes, len(sizes))


def _places(count: int, corners: bool) -> Tensor:
    """From −1 to 1 the middle of each pixel of an axis, rounded as in torch: at a pixel the gradient hangs on it."""
    if count == 1:
        return torch.zeros(1)
    places = torch.linspace(-1, 1, count)
    return places if corners else places * (count - 1) / count
