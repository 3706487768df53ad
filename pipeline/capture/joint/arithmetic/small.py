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


def conv2d(
    torchs: Callable[..., Tensor],
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: Any = 1,
) -> Tensor:
    """Torch's of that name; with as many groups as images, each of which has weights of its own, as products.

    So conditional convolutions are written: 1×(N·C)×H×W. Yang et al., arXiv:1904.04971.
    """
    if isinstance(groups, int):
        return torchs(input, weight, bias, stride, padding, dilation, groups)
    images = input.reshape(groups, weight.shape[1], *input.shape[2:])
    patches = functional.unfold(images, tuple(weight.shape[2:]), dilation, padding, stride)
    products = weight.reshape(groups, -1, patches.shape[1]) @ patches
    whole, step = (value if isinstance(value, (tuple, list)) else (value, value) for value in (padding, stride))
    spread = dilation if isinstance(dilation, (tuple, list)) else (dilation, dilation)
    sizes = [
        (input.shape[2 + axis] + 2 * whole[axis] - spread[axis] * (weight.shape[2 + axis] - 1) - 1) // step[axis] + 1
        for axis in range(2)
    ]
    result = products.reshape(1, weight.shape[0], *sizes)
    return result if bias is None else result + bias.reshape(1, -1, 1, 1)


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """Torch's of that name: a convolution over T of T×N×C, with a weight K×C×O."""
    return functional.conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad).permute(2, 0, 1)


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
