"""Layers of torch in arithmetic, where torch's own cannot be traced for a batch of any size."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.modules import transformer
from torch.utils._pytree import tree_map

from pipeline.capture.joint.arithmetic.losses import l1_loss


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


def self_attention(torchs: Callable[..., tuple[Tensor, Tensor | None]]) -> Callable[..., tuple[Tensor, Tensor | None]]:
    """Torch's attention of its layers; of a sequence to itself, without masks, dropout and weights, with fewer turns.

    Torch projects T×N×C and brings queries, keys and values to their heads one by one; here N×T×C as it is, all at
    once.

    Args:
      torchs: `multi_head_attention_forward`, which does all others.
    """
    signature = inspect.signature(torchs)

    def forward(*arguments: Any, **options: Any) -> tuple[Tensor, Tensor | None]:
        bound = signature.bind(*arguments, **options)
        bound.apply_defaults()
        given = bound.arguments
        x = given["query"]
        dropped = given["dropout_p"] if given["training"] else 0.0
        itself = x is given["key"] and x is given["value"] and x.dim() == 3 and given["in_proj_weight"] is not None
        other = ("bias_k", "bias_v", "key_padding_mask", "attn_mask", "static_k", "static_v")
        flags = ("add_zero_attn", "need_weights", "use_separate_proj_weight", "is_causal")
        if not itself or dropped or any(given[n] is not None for n in other) or any(given[name] for name in flags):
            return torchs(*arguments, **options)
        projected = functional.linear(x.transpose(0, 1), given["in_proj_weight"], given["in_proj_bias"])
        images, tokens, heads = projected.shape[0], projected.shape[1], given["num_heads"]
        width = x.shape[2] // heads
        parts = projected.view(images, tokens, 3, heads, width).permute(2, 0, 3, 1, 4)
        # Heads of all images one after another: the runtime would put the turn behind the division into three.
        query, key, value = parts.reshape(3, images * heads, tokens, width).unbind(0)
        read = _attention(query, key, value, width**-0.5).view(images, heads, tokens, width)
        read = read.transpose(1, 2).reshape(images, tokens, x.shape[2])
        return functional.linear(read, given["out_proj_weight"], given["out_proj_bias"]).transpose(0, 1), None

    return forward


def is_causal_mask(mask: Tensor | None, is_causal: bool | None = None, size: int | None = None) -> bool:
    """Whether a transformer is told that its mask is causal; torch's own also reads the mask, to save its use."""
    return is_causal is True


def dot_product_attention(torchs: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Torch's `scaled_dot_product_attention`; N×H×T×D without a mask and dropout with the scale in one product."""

    def forward(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        alike = query.dim() == key.dim() == value.dim() == 4 and query.shape[:2] == key.shape[:2] == value.shape[:2]
        if attn_mask is not None or dropout_p or is_causal or enable_gqa or not alike:
            return torchs(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
        images, heads, tokens, width = query.shape
        q, k, v = (part.reshape(images * heads, part.shape[2], part.shape[3]) for part in (query, key, value))
        read = _attention(q, k, v, width**-0.5 if scale is None else scale)
        return read.view(images, heads, tokens, v.shape[2])

    return forward


def _attention(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Of (N·H)×T×D. Matrices are turned next to a product, where the runtime reads them as they lie."""
    scores = torch.bmm(query, key.transpose(1, 2)) * scale
    return torch.bmm(torch.softmax(scores, -1), value)


def cond(pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: Sequence[Any] = ()) -> Any:
    """Torch's cond: both branches, and the choice between what they give."""
    if not isinstance(pred, Tensor):
        return (true_fn if pred else false_fn)(*operands)
    choose = partial(torch.where, pred)
    return tree_map(choose, true_fn(*operands), false_fn(*operands))


def random_order(n: Any, **options: Any) -> Tensor:
    """Torch's randperm from numbers between 0 and 1, which are drawn like all others."""
    return torch.rand([n]).argsort(stable=True)


def trilinear(
    i1: Tensor,
    i2: Tensor,
    i3: Tensor,
    expand1: Sequence[int],
    expand2: Sequence[int],
    expand3: Sequence[int],
    sumdim: Sequence[int],
    unroll_dim: int = 1,
) -> Tensor:
    """Torch's _trilinear, of which bilinear layers are made: the sum over `sumdim` of i1 × i2 × i3, as two products.

    Args:
      i1: has all axes but those of `expand1`, along which it is the same everywhere.
      i2: the second factor.
      i3: the third.
      expand1: the axes that i1 has not.
      expand2: those that i2 has not.
      expand3: those that i3 has not.
      sumdim: the axes of the sum, which the result has not.
      unroll_dim: torch's, of its loop.
    """
    axes = range(i1.dim() + len(expand1))
    first, second, third, result = (
        [axis for axis in axes if axis not in left_out] for left_out in (expand1, expand2, expand3, sumdim)
    )
    between = [axis for axis in axes if axis in {*first, *second} & {*third, *result}]
    product = torch.einsum(i1, first, i2, second, between)
    return torch.einsum(product, between, i3, third, result)


# What stands for a function of torch, made of torch's own.
_FOR: Mapping[tuple[ModuleType, str], Callable[..., Any]] = {
    (functional, "instance_norm"): lambda torchs: instance_norm,
    (functional, "l1_loss"): l1_loss,
    (torch, "cond"): lambda torchs: cond,
    (functional, "multi_head_attention_forward"): self_attention,
    (functional, "scaled_dot_product_attention"): dot_product_attention,
    (transformer, "_detect_is_causal_mask"): lambda torchs: is_causal_mask,
}


@contextlib.contextmanager
def standing_in() -> Iterator[None]:
    """In the block functions of torch are those of this module."""
    own = {(owner, name): getattr(owner, name) for owner, name in _FOR}
    try:
        for (owner, name), torchs in own.items():
            setattr(owner, name, _FOR[owner, name](torchs))
        yield
    finally:
        for (owner, name), torchs in own.items():
            setattr(owner, name, torchs)
