"""Embeddings as torch's layers and functions use them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.errors import ModelError

_RENEWED = (
    "an embedding with max_norm changes its weight in place when it is read, which here the optimizer alone does: "
    "leave max_norm out, or divide what is read by its norm"
)
_BAGS = (
    "F.embedding_bag takes the largest of bags that offsets tell, whose lengths no graph has: give it words N×L, "
    "one bag a row, and padding_idx"
)
_SCALED = (
    "of bags with scale_grad_by_freq torch divides a word's gradient by how often another word occurs: take "
    "F.embedding with scale_grad_by_freq, and sum what it gives"
)


def embedding(
    torchs: Callable[..., Tensor],
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Torch's of that name, whose gradient is never a sparse tensor.

    Raises:
      ModelError: its weight is renewed.
    """
    if max_norm is not None:
        raise ModelError(_RENEWED)
    return torchs(input, weight, padding_idx, scale_grad_by_freq=scale_grad_by_freq)


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Torch's of that name: N×E of words N×L, or of the words of all bags one after another and where each begins.

    Raises:
      ModelError: its weight is renewed, its gradient is divided by frequencies, or the largest is asked for of bags
        that offsets tell.
    """
    if max_norm is not None:
        raise ModelError(_RENEWED)
    if scale_grad_by_freq:
        raise ModelError(_SCALED)
    rows = functional.embedding(input, weight, padding_idx)
    padding = None if padding_idx is None else padding_idx % weight.shape[0]
    counted = torch.ones_like(input, dtype=weight.dtype) if padding is None else (input != padding).to(weight.dtype)
    if offsets is None and mode == "max":
        lowest = torch.finfo(weight.dtype).min
        largest = torch.where(counted.unsqueeze(2) > 0, rows, lowest).max(1)[0]
        return torch.where(counted.sum(1, keepdim=True) > 0, largest, 0.0)
    if mode == "max":
        raise ModelError(_BAGS)
    shares = counted if per_sample_weights is None else counted * per_sample_weights
    rows = rows * shares.unsqueeze(-1)
    if offsets is None:
        total, count = rows.sum(1), counted.sum(1)
    else:
        starts = offsets[:-1] if include_last_offset else offsets
        bag = (torch.arange(input.shape[0]).unsqueeze(1) >= starts).sum(1) - 1
        total = rows.new_zeros(starts.shape[0], weight.shape[1]).index_add(0, bag, rows)
        count = counted.new_zeros(starts.shape[0]).index_add(0, bag, counted)
    return total if mode == "sum" else total / count.clamp(min=1.0).unsqueeze(1)
