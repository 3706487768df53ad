"""Functions that are others in a few words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.errors import ModelError


def rrelu(
    input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """Torch's of that name: a slope between the bounds that is drawn for each element below 0, their mean else."""
    if inplace:
        return rrelu_(input, lower, upper, training)
    if not training:
        return functional.leaky_relu(input, (lower + upper) / 2)
    return torch.where(input > 0, input, input * (lower + (upper - lower) * torch.rand_like(input)))


def rrelu_(input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False) -> Tensor:
    """The same in place."""
    return input.copy_(rrelu(input, lower, upper, training))


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """Torch's of that name: the distance of each row to each that follows.

    Raises:
      ModelError: the rows are the batch.
    """
    if not isinstance(input.shape[0], int):
        raise ModelError(
            "torch.pdist of the batch has N × (N − 1) / 2 results, which is no multiple of the batch N: compare the "
            "rows of each image, or all with all by torch.cdist"
        )
    first, second = torch.triu_indices(input.shape[0], input.shape[0], 1)
    distances: Tensor = torch.linalg.vector_norm(input[first] - input[second], p, -1)
    return distances


def normal(mean: Any, std: Any = 1.0, size: Sequence[int] | None = None, **options: Any) -> Tensor:
    """Torch's of that name, whose result has no gradient."""
    centre, spread = (torch.as_tensor(number).detach() for number in (mean, std))
    return centre + spread * torch.randn((centre + spread).shape if size is None else size)


def pad(
    torchs: Callable[..., Tensor], input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """Torch's of that name; circular padding as parts of the tensor one after another."""
    if mode != "circular":
        return torchs(input, pad, mode, value)
    for axis, (before, after) in enumerate(zip(pad[::2], pad[1::2], strict=True), start=1):
        size = input.shape[-axis]
        size += min(before, 0) + min(after, 0)
        kept = input.narrow(-axis, max(-before, 0), size)
        before, after = max(before, 0), max(after, 0)
        input = torch.cat([kept.narrow(-axis, size - before, before), kept, kept.narrow(-axis, 0, after)], -axis)
    return input


def one_hot(torchs: Callable[..., Tensor], tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Torch's of that name.

    Raises:
      ModelError: the number of classes is that of the largest value.
    """
    if num_classes < 0:
        raise ModelError(
            "F.one_hot without num_classes is as long as the largest value is high, which no graph knows: give it "
            "num_classes"
        )
    return torchs(tensor, num_classes)
