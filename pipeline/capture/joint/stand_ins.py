"""Layers of torch in arithmetic, where torch's own cannot be traced for a batch of any size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def cumulative_batch_norm(self: Any, x: Tensor) -> Tensor:
    """Batch norm whose running statistics are the mean over all batches; torch's own reads its counter as a number."""
    axes = [axis for axis in range(x.dim()) if axis != 1]
    with torch.no_grad():
        self.num_batches_tracked.add_(1)
        share = 1.0 / self.num_batches_tracked.to(torch.float32)
        self.running_mean.add_(share * (x.mean(axes) - self.running_mean))
        self.running_var.add_(share * (x.var(axes, correction=1) - self.running_var))
    return functional.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Torch's of that name in arithmetic: its own cannot be traced for a batch of any size."""
    axes = list(range(2, input.dim()))
    shape = [1, -1, *[1] * len(axes)]
    if use_input_stats:
        mean, variance = input.mean(axes, keepdim=True), input.var(axes, correction=0, keepdim=True)
        if running_mean is not None and running_var is not None:
            unbiased = input.detach().var(axes, correction=1)
            running_mean.mul_(1 - momentum).add_(momentum * mean.detach().flatten(1).mean(0))
            running_var.mul_(1 - momentum).add_(momentum * unbiased.mean(0))
    else:
        assert running_mean is not None and running_var is not None
        mean, variance = running_mean.reshape(shape), running_var.reshape(shape)
    normal = (input - mean) * torch.rsqrt(variance + eps)
    if weight is not None:
        normal = normal * weight.reshape(shape)
    return normal if bias is None else normal + bias.reshape(shape)


def random_order(n: Any, **options: Any) -> Tensor:
    """Torch's randperm from numbers between 0 and 1, which are drawn like all others."""
    return torch.rand([n]).argsort(stable=True)


def with_dropout_between(layers: Callable[..., tuple[Tensor, list[Any]]]) -> Callable[..., tuple[Tensor, list[Any]]]:
    """Torch's way through the layers of a recurrent one, which in torch 2.13 never drops anything between them.

    Args:
      layers: torch's, called here for one layer at a time.
    """

    def through(
        x: Tensor,
        hidden: Sequence[Any],
        params: Sequence[Any],
        has_biases: bool,
        num_layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
        layer: Any,
    ) -> tuple[Tensor, list[Any]]:
        directions, last = 2 if bidirectional else 1, list[Any]()
        x = x.transpose(0, 1) if batch_first else x
        for number in range(num_layers):
            own = slice(number * directions, (number + 1) * directions)
            x, final = layers(x, hidden[own], params[own], has_biases, 1, 0.0, train, bidirectional, False, layer)
            last += final
            if train and dropout and number < num_layers - 1:
                x = torch.dropout(x, dropout, True)
        return x.transpose(0, 1) if batch_first else x, last

    return through
