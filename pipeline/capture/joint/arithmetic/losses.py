"""Losses whose gradients are operators of torch's own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.errors import ModelError


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Torch's of that name: by how much each other class comes within the margin of the label's."""
    x, label = (input.unsqueeze(0), target.reshape(1)) if input.dim() == 1 else (input, target)
    own = label.unsqueeze(1)
    excess = functional.relu(margin - x.gather(1, own) + x) ** p
    if weight is not None:
        excess = excess * weight[label].unsqueeze(1)
    others = torch.arange(x.shape[1]) != own
    losses = (excess * others).mean(1)
    return _reduced(losses if input.dim() > 1 else losses.squeeze(0), reduction)


def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Torch's of that name: by how much each other class comes within 1 of each label's; labels end at the first −1."""
    x, labels = (input.unsqueeze(0), target.unsqueeze(0)) if input.dim() == 1 else (input, target)
    counts = (labels < 0).to(x.dtype).cumsum(1) == 0
    chosen = labels.clamp(min=0)
    is_label = ((chosen.unsqueeze(2) == torch.arange(x.shape[1])) & counts.unsqueeze(2)).any(1)
    excess = functional.relu(1 - x.gather(1, chosen).unsqueeze(2) + x.unsqueeze(1))
    losses = (excess * counts.unsqueeze(2) * ~is_label.unsqueeze(1)).sum((1, 2)) / x.shape[1]
    return _reduced(losses if input.dim() > 1 else losses.squeeze(0), reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """Torch's of that name, which looks whether a variance is below 0; what is below `eps` has its gradient, too."""
    variance = torch.full_like(input, var) if isinstance(var, float) else var
    if variance.dim() < input.dim():
        variance = variance.unsqueeze(-1)
    variance = variance + (variance.clamp(min=eps) - variance).detach()
    losses = 0.5 * (variance.log() + (input - target) ** 2 / variance)
    return _reduced(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


def l1_loss(torchs: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Torch's of that name, which loses its weights on the way to a mode of functions: to be put in its place."""

    def loss(
        input: Tensor,
        target: Tensor,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
    ) -> Tensor:
        if weight is None:
            return torchs(input, target, size_average, reduce, reduction)
        errors = (input - target).abs() * weight
        return errors.sum() / weight.sum() if reduction == "mean" else _reduced(errors, reduction)

    return loss


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


def no_ctc_loss(*arguments: Any, **options: Any) -> NoReturn:
    """Refuses torch's of that name.

    Raises:
      ModelError: always.
    """
    raise ModelError(
        "F.ctc_loss has no form in the ONNX standard, since it goes over alignments of lengths that only values tell: "
        "give each step a label and use F.cross_entropy"
    )
