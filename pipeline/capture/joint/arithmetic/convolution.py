"""Convolutions that the standard's has no form of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn import functional


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
    """Torch's of that name; with a number of groups that depends on the batch, as products.

    So each image has weights of its own, in conditional convolutions: 1×(N·C)×H×W. Yang et al., arXiv:1904.04971.
    """
    if isinstance(groups, int):
        return torchs(input, weight, bias, stride, padding, dilation, groups)
    window = tuple(weight.shape[2:])
    images = input.reshape(groups, weight.shape[1], *input.shape[2:])
    patches = functional.unfold(images, window, dilation, padding, stride)
    products = weight.reshape(groups, -1, patches.shape[1]) @ patches
    options = (_pair(option) for option in (stride, padding, dilation))
    sizes = [
        (size + 2 * padded - spread * (kernel - 1) - 1) // step + 1
        for size, kernel, step, padded, spread in zip(input.shape[2:], window, *options, strict=True)
    ]
    result = products.reshape(1, weight.shape[0], *sizes)
    return result if bias is None else result + bias.reshape(1, -1, 1, 1)


def _pair(option: Any) -> Any:
    return option if isinstance(option, (tuple, list)) else (option, option)


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """Torch's of that name: a convolution over T of T×N×C, with a weight K×C×O."""
    return functional.conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad).permute(2, 0, 1)
