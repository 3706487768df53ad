"""Resizing whose gradient torch cannot trace for a batch of any size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import _disable_current_modes


def interpolate(
    torchs: Callable[..., Tensor],
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Torch's of that name; antialiased cubic as a product with a matrix along each axis."""
    options = (mode, align_corners, recompute_scale_factor, antialias)
    if not (antialias and mode == "bicubic"):
        return torchs(input, size, scale_factor, *options)
    for axis in (2, 3):
        sizes, scales = _along(size, axis, 1), _along(scale_factor, axis, 1.0)
        # What torch itself makes of each pixel alone.
        with _disable_current_modes():
            eye = torch.eye(int(input.shape[axis])).unsqueeze(0).unsqueeze(2)
            matrix = functional.interpolate(eye, sizes, scales, *options)[0, :, 0].tolist()
        input = (input.transpose(axis, 3) @ torch.tensor(matrix)).transpose(axis, 3)
    return input


def _along(option: Any, axis: int, neutral: float) -> tuple[Any, Any] | None:
    """Of a size or a factor what it is along one axis alone, behind one that stays."""
    if option is None:
        return None
    return neutral, option[axis - 2] if isinstance(option, (tuple, list)) else option
