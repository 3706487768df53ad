"""Numbers as integers of few bits would have them, whose gradient passes where they are within the range."""

from __future__ import annotations

import torch
from torch import Tensor


def fake_quantize(
    input: Tensor, scale: float | Tensor, zero_point: int | Tensor, quant_min: int, quant_max: int
) -> Tensor:
    """Torch's fake_quantize_per_tensor_affine."""
    return _rounded(input, torch.as_tensor(scale), torch.as_tensor(zero_point), quant_min, quant_max)


def fake_quantize_by_channel(
    input: Tensor, scale: Tensor, zero_point: Tensor, axis: int, quant_min: int, quant_max: int
) -> Tensor:
    """Torch's fake_quantize_per_channel_affine: scale and zero point C of the axis."""
    shape = [-1 if place == axis % input.dim() else 1 for place in range(input.dim())]
    return _rounded(input, scale.reshape(shape), zero_point.reshape(shape), quant_min, quant_max)


def _rounded(x: Tensor, scale: Tensor, zero: Tensor, low: int, high: int) -> Tensor:
    scale, zero = scale.detach(), zero.detach().to(x.dtype)
    # In torch's order, as the last bit decides at a half.
    step = torch.round(x.detach() * (1 / scale)) + zero
    passing = torch.where((step >= low) & (step <= high), x, 0.0)
    return (step.clamp(low, high) - zero) * scale + (passing - passing.detach())
