"""The functions of torch.nn.functional that pool, resize, sample, pad and rearrange images, by their names there."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.sweep.case import Case, function, layer
from tests.sweep.case_functions import in_training, weighted

# As users call them, with what torch's annotations leave out.
F: Any = functional

POOLING: dict[str, Case] = {
    "avg_pool1d": function(lambda x: F.avg_pool1d(x, 3, 2, 1), 4, 9),
    "avg_pool2d": function(lambda x: F.avg_pool2d(x, (3, 2), count_include_pad=False, padding=1), 4, 6, 6),
    "avg_pool2d, ceil_mode": function(lambda x: F.avg_pool2d(x, 2, 2, ceil_mode=True), 4, 7, 7),
    "avg_pool2d, divided": function(lambda x: F.avg_pool2d(x, 2, divisor_override=3), 4, 6, 6),
    "avg_pool3d": function(lambda x: F.avg_pool3d(x, 2), 2, 4, 4, 4),
    "avg_pool3d, divided": function(lambda x: F.avg_pool3d(x, 3, 2, 1, divisor_override=2), 2, 4, 4, 4),
    "max_pool1d": function(lambda x: F.max_pool1d(x, 3, 2, 1), 4, 9),
    "max_pool1d, dilated": function(lambda x: F.max_pool1d(x, 2, dilation=2, stride=1), 4, 9),
    "max_pool2d": function(lambda x: F.max_pool2d(x, 3, 2, 1), 4, 6, 6),
    "max_pool2d, ceil_mode": function(lambda x: F.max_pool2d(x, 2, ceil_mode=True), 4, 7, 7),
    "max_pool2d, of ties": function(lambda x: F.max_pool2d(F.relu(x - 0.2), 2), 4, 6, 6),
    "max_pool3d": function(lambda x: F.max_pool3d(x, 2), 2, 4, 4, 4),
    "max_pool1d_with_indices": function(lambda x: _by_place(*F.max_pool1d_with_indices(x, 2)), 4, 8),
    "max_pool1d_with_indices, of torch": function(lambda x: _by_place(*torch.max_pool1d_with_indices(x, 3)), 4, 9),
    "max_pool2d_with_indices": function(lambda x: _by_place(*F.max_pool2d_with_indices(x, 2)), 4, 6, 6),
    "max_pool2d_with_indices, overlapping": function(
        lambda x: _by_place(*F.max_pool2d(x, 3, 2, 1, return_indices=True)), 4, 6, 6
    ),
    "max_pool3d_with_indices": function(lambda x: _by_place(*F.max_pool3d_with_indices(x, 2)), 2, 4, 4, 4),
    "max_unpool1d": function(lambda x: F.max_unpool1d(*F.max_pool1d(x, 2, return_indices=True), 2), 4, 8),
    "max_unpool2d": function(lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2), 4, 6, 6),
    "max_unpool2d, to a size": function(
        lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2, output_size=(7, 7)), 4, 7, 7
    ),
    "max_unpool2d, overlapping": function(
        lambda x: F.max_unpool2d(*F.max_pool2d(x, 3, 1, return_indices=True), 3, 1), 4, 6, 6
    ),
    "max_unpool3d": function(lambda x: F.max_unpool3d(*F.max_pool3d(x, 2, return_indices=True), 2), 2, 4, 4, 4),
    "lp_pool1d": function(lambda x: F.lp_pool1d(x, 2, 3, 2), 4, 9),
    "lp_pool2d": function(lambda x: F.lp_pool2d(x, 2.0, (2, 3)), 4, 6, 6),
    "lp_pool2d, p = 3": function(lambda x: F.lp_pool2d(x.abs() + 0.1, 3.0, 2, ceil_mode=True), 4, 7, 7),
    "lp_pool2d, p = 1": function(lambda x: F.lp_pool2d(x.abs(), 1, 2), 4, 6, 6),
    "lp_pool3d": function(lambda x: F.lp_pool3d(x, 2.0, 2), 2, 4, 4, 4),
    "adaptive_avg_pool1d": function(lambda x: F.adaptive_avg_pool1d(x, 4), 4, 9),
    "adaptive_avg_pool2d": function(lambda x: F.adaptive_avg_pool2d(x, (2, 3)), 4, 6, 6),
    "adaptive_avg_pool2d, to 1": function(lambda x: F.adaptive_avg_pool2d(x, 1), 4, 6, 6),
    "adaptive_avg_pool2d, uneven": function(lambda x: F.adaptive_avg_pool2d(x, (4, None)), 4, 6, 6),
    "adaptive_avg_pool2d, to a larger size": function(lambda x: F.adaptive_avg_pool2d(x, 7), 4, 2, 3),
    "adaptive_avg_pool3d": function(lambda x: F.adaptive_avg_pool3d(x, (2, 1, 3)), 2, 4, 4, 4),
    "adaptive_max_pool1d": function(lambda x: F.adaptive_max_pool1d(x, 4), 4, 9),
    "adaptive_max_pool2d": function(lambda x: F.adaptive_max_pool2d(x, (2, 3)), 4, 6, 6),
    "adaptive_max_pool2d, to 1": function(lambda x: F.adaptive_max_pool2d(x, 1), 4, 6, 6),
    "adaptive_max_pool2d, uneven": function(lambda x: F.adaptive_max_pool2d(x, (4, None)), 4, 6, 6),
    "adaptive_max_pool2d, to a larger size": function(lambda x: F.adaptive_max_pool2d(x, 5), 4, 3, 3),
    "adaptive_max_pool3d": function(lambda x: F.adaptive_max_pool3d(x, (2, 1, 3)), 2, 4, 4, 4),
    "adaptive_max_pool1d_with_indices": function(lambda x: _by_place(*F.adaptive_max_pool1d_with_indices(x, 4)), 4, 9),
    "adaptive_max_pool1d_with_indices, of torch": function(lambda x: _by_place(*torch.adaptive_max_pool1d(x, 3)), 4, 9),
    "adaptive_max_pool2d_with_indices": function(
        lambda x: _by_place(*F.adaptive_max_pool2d(x, 3, return_indices=True)), 4, 6, 6
    ),
    "adaptive_max_pool3d_with_indices": function(
        lambda x: _by_place(*F.adaptive_max_pool3d_with_indices(x, 2)), 2, 4, 4, 4
    ),
    "fractional_max_pool2d": in_training(
        lambda x, training: F.fractional_max_pool2d(x, 2, (3, 4)) if training else x[..., :3, :4], 4, 7, 7
    ),
    "fractional_max_pool2d, by samples": function(
        lambda x: F.fractional_max_pool2d(x, 2, output_ratio=(0.6, 0.6), _random_samples=_samples(x, 2)), 4, 7, 7
    ),
    "fractional_max_pool2d, in evaluation": function(
        lambda x: F.fractional_max_pool2d(x, 2, 3),
        4,
        7,
        7,
        refused="draws random numbers in evaluation too, in the model itself: guard it by self.training",
    ),
    "fractional_max_pool2d_with_indices": function(
        lambda x: _by_place(*F.fractional_max_pool2d_with_indices(x, (2, 3), 3, _random_samples=_samples(x, 2))),
        *(4, 7, 7),
    ),
    "fractional_max_pool3d": function(
        lambda x: F.fractional_max_pool3d(x, 2, 2, _random_samples=_samples(x, 3)), 2, 4, 5, 5
    ),
    "fractional_max_pool3d_with_indices": function(
        lambda x: _by_place(*F.fractional_max_pool3d_with_indices(x, 2, (2, 3, 2), _random_samples=_samples(x, 3))),
        *(2, 4, 5, 5),
    ),
}

_LINES = ("nearest", "nearest-exact", "linear", "area")
_IMAGES = ("nearest", "nearest-exact", "bilinear", "bicubic", "area")
_VOLUMES = ("nearest", "nearest-exact", "trilinear", "area")


def _resized(mode: str, **options: object) -> Case:
    shape = (2, 9) if mode in _LINES and options.pop("line", False) else (2, 5, 6)
    return function(lambda x: F.interpolate(x, mode=mode, **options), *shape)


def _of_volume(mode: str, **options: object) -> Case:
    return function(lambda x: F.interpolate(x, mode=mode, **options), 2, 3, 4, 3)


RESIZING: dict[str, Case] = {
    **{f"interpolate, {m} of a line": _resized(m, size=13, line=True) for m in _LINES},
    **{f"interpolate, {m} of a line, smaller": _resized(m, scale_factor=0.5, line=True) for m in _LINES},
    **{f"interpolate, {m}, larger": _resized(m, size=(8, 9)) for m in _IMAGES},
    **{f"interpolate, {m}, smaller": _resized(m, size=(3, 4)) for m in _IMAGES},
    **{f"interpolate, {m}, by 2": _resized(m, scale_factor=2) for m in _IMAGES},
    **{f"interpolate, {m}, by 1.7 and 0.6": _resized(m, scale_factor=(1.7, 0.6)) for m in _IMAGES},
    **{
        f"interpolate, {m}, by 1.7, recomputed": _resized(m, scale_factor=1.7, recompute_scale_factor=True)
        for m in _IMAGES
    },
    **{f"interpolate, {m}, corners aligned": _resized(m, size=(8, 4), align_corners=True) for m in _IMAGES[2:4]},
    **{f"interpolate, {m}, antialiased": _resized(m, size=(3, 4), antialias=True) for m in _IMAGES[2:4]},
    **{f"interpolate, {m}, antialiased, larger": _resized(m, size=(8, 9), antialias=True) for m in _IMAGES[2:4]},
    **{f"interpolate, {m}, antialiased, by 0.4": _resized(m, scale_factor=0.4, antialias=True) for m in _IMAGES[2:4]},
    **{f"interpolate, {m} of a volume": _of_volume(m, size=(5, 3, 4)) for m in _VOLUMES},
    **{f"interpolate, {m} of a volume, by 1.5": _of_volume(m, scale_factor=1.5) for m in _VOLUMES},
    "interpolate, trilinear, corners aligned": _of_volume("trilinear", scale_factor=2, align_corners=True),
    "interpolate, to another's size": function(
        lambda x: F.interpolate(F.max_pool2d(x, 2), size=x.shape[2:], mode="bilinear") + x, 2, 6, 6
    ),
    "interpolate, of one size": function(
        lambda x: F.interpolate(x, size=7, mode="bicubic", align_corners=False), 2, 5, 6
    ),
    "upsample": function(lambda x: F.upsample(x, scale_factor=2), 2, 5, 6),
    "upsample, bilinear": function(lambda x: F.upsample(x, (7, 8), mode="bilinear", align_corners=True), 2, 5, 6),
    "upsample_nearest": function(lambda x: F.upsample_nearest(x, (7, 8)), 2, 5, 6),
    "upsample_bilinear": function(lambda x: F.upsample_bilinear(x, scale_factor=2), 2, 5, 6),
}


def _sampled(mode: str, padding: str, corners: bool, reach: float = 1.5) -> Case:
    def operation(x: Tensor) -> Tensor:
        sampled: Tensor = F.grid_sample(x, _grid(x) * reach, mode, padding, corners)
        return sampled

    return function(operation, 2, 5, 6)


class Transformer(nn.Module):
    """A spatial transformer as it is written: the first transformation is the identity."""

    def __init__(self, side: int, corners: bool) -> None:
        super().__init__()
        self.corners = corners
        self.localise = nn.Linear(2 * side * side, 6)
        nn.init.zeros_(self.localise.weight)
        self.localise.bias.data.copy_(torch.eye(2, 3).flatten())

    def forward(self, x: Tensor) -> Tensor:
        theta = self.localise(x.flatten(1)).view(-1, 2, 3)
        sampled: Tensor = F.grid_sample(x, F.affine_grid(theta, x.size(), self.corners), align_corners=self.corners)
        return sampled


def _from_identity(side: int, corners: bool) -> Case:
    return layer(lambda: Transformer(side, corners), 2, side, side)


SAMPLING: dict[str, Case] = {
    **{
        f"grid_sample, {mode}, {padding}, corners {'aligned' if corners else 'not aligned'}": _sampled(
            mode, padding, corners
        )
        for mode in ("bilinear", "nearest", "bicubic")
        for padding in ("zeros", "border", "reflection")
        for corners in (True, False)
    },
    "grid_sample, far outside": _sampled("bilinear", "reflection", False, 5.0),
    "grid_sample, by default": function(lambda x: F.grid_sample(x, _grid(x)), 2, 5, 6),
    "grid_sample, of volumes": function(lambda x: F.grid_sample(x, _volume_grid(x), align_corners=False), 2, 3, 4, 3),
    "grid_sample, of volumes, nearest": function(
        lambda x: F.grid_sample(x, _volume_grid(x), "nearest", "border", True), 2, 3, 4, 3
    ),
    "grid_sample, of a parameter": weighted(
        lambda x, w: F.grid_sample(w.expand(x.shape[0], -1, -1, -1), _grid(x), align_corners=False),
        *((2, 5, 6), (1, 3, 4, 4)),
    ),
    "affine_grid": function(lambda x: F.affine_grid(x, [x.shape[0], 3, 4, 5], align_corners=False).sin(), 2, 3),
    "affine_grid, corners aligned": function(
        lambda x: F.affine_grid(x, torch.Size((x.shape[0], 3, 4, 5)), align_corners=True).sin(), 2, 3
    ),
    "affine_grid, of volumes": function(lambda x: F.affine_grid(x, [x.shape[0], 1, 2, 3, 4]).sin(), 3, 4),
    "affine_grid and grid_sample": function(lambda x: _transformed(x), 2, 6, 6),
    **{
        f"affine_grid and grid_sample, from the identity of {side} pixels{', corners aligned' if corners else ''}": (
            _from_identity(side, corners)
        )
        for side in (6, 7)
        for corners in (False, True)
    },
}


def _bordered(mode: str, rank: int) -> Case:
    return function(lambda x: F.pad(x, (1, 2, 2, 1, 0, 1)[: 2 * rank], mode), 2, *(4, 4, 5)[3 - rank :])


ARRANGING: dict[str, Case] = {
    "pixel_shuffle": function(lambda x: F.pixel_shuffle(x, 2), 4, 6, 6),
    "pixel_shuffle, by 3": function(lambda x: F.pixel_shuffle(x, 3), 18, 2, 3),
    "pixel_unshuffle": function(lambda x: F.pixel_unshuffle(x, 2), 3, 6, 6),
    "channel_shuffle": function(lambda x: F.channel_shuffle(x, 2), 6, 4, 4),
    "channel_shuffle, of sequences": function(lambda x: F.channel_shuffle(x, 3), 6, 4),
    "native_channel_shuffle": function(
        lambda x: F.native_channel_shuffle(x, 2),
        6,
        4,
        4,
        refused="torch has no gradient of native_channel_shuffle: use F.channel_shuffle",
    ),
    "unfold": function(lambda x: F.unfold(x, 3), 2, 5, 6),
    "unfold, with options": function(lambda x: F.unfold(x, (2, 3), dilation=(2, 1), padding=1, stride=(1, 2)), 2, 5, 6),
    "fold": function(lambda x: F.fold(x, (4, 6), (2, 3), stride=(2, 3)), 12, 4),
    "fold, overlapping": function(lambda x: F.fold(x, (5, 5), 3, padding=1, stride=2), 18, 9),
    "fold, dilated": function(lambda x: F.fold(x, (5, 5), 2, dilation=2), 8, 9),
    "unfold and fold": function(
        lambda x: (
            F.fold(F.unfold(x, 3, padding=1), (6, 6), 3, padding=1)
            / F.fold(F.unfold(torch.ones_like(x), 3, padding=1), (6, 6), 3, padding=1)
        ),
        *(2, 6, 6),
    ),
    "pad": function(lambda x: F.pad(x, (1, 2, 0, 1)), 2, 5, 6),
    "pad, with a number": function(lambda x: F.pad(x, (1, 2), value=0.5), 2, 5, 6),
    "pad, negative": function(lambda x: F.pad(x, (-1, 1, 2, -2)), 2, 5, 6),
    "pad, of channels": function(lambda x: F.pad(x, (0, 0, 0, 0, 1, 1)), 2, 5, 6),
    **{
        f"pad, {mode} of {rank} axes": _bordered(mode, rank)
        for mode in ("constant", "reflect", "replicate", "circular")
        for rank in (1, 2, 3)
    },
    "pad, reflect of the last of two axes": function(lambda x: F.pad(x, (2, 1), "reflect"), 5, 6),
    "pad, replicate, negative": function(lambda x: F.pad(x, (2, -1, 0, 0), "replicate"), 2, 5, 6),
    "pad, circular, negative": function(lambda x: F.pad(x, (2, -1, 0, 0), "circular"), 2, 5, 6),
    "pad, reflect, negative": function(lambda x: F.pad(x, (2, -1, 0, 0), "reflect"), 2, 5, 6),
}


def _by_place(values: Tensor, places: Tensor) -> Tensor:
    """So that an index at another place gives another result."""
    return values * (1 + 0.1 * places)


def _samples(x: Tensor, axes: int) -> Tensor:
    """float32 N×C×axes from 0 to 1."""
    count = x.shape[0] * x.shape[1] * axes
    return (torch.arange(count) * 0.37 % 1.0).view(x.shape[0], x.shape[1], axes)


def _grid(x: Tensor) -> Tensor:
    """N×4×3×2 mostly between −1 and 1, of N×C×5×6 or more."""
    return torch.tanh(torch.stack([x[:, 0, :4, :3], x[:, 1, :4, 2:5]], -1) * 1.3 + 0.1)


def _volume_grid(x: Tensor) -> Tensor:
    """N×2×3×2×3 of N×C×3×4×3."""
    return torch.stack([x[:, 0, :2, :3, :2], x[:, 1, :2, :3, 1:], x[:, 0, 1:, 1:, 1:]], -1) * 1.4


def _transformed(x: Tensor) -> Tensor:
    theta = torch.eye(2, 3) + 0.3 * x[:, 0, :2, :3]
    sampled: Tensor = F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False), align_corners=False)
    return sampled


OF_IMAGES: dict[str, Case] = POOLING | RESIZING | SAMPLING | ARRANGING
