"""Torch's optimizer of a recipe."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from pipeline.optimizers import Optimizer


def torch_optimizer(
    optimizer: Optimizer, parameters: Iterable[torch.Tensor], rate: float, **further: Any
) -> torch.optim.Optimizer | None:
    """Torch's optimizer of that name, with its options and further ones of torch's; None where torch has none."""
    kinds: dict[str, Any] = {name.lower(): kind for name, kind in vars(torch.optim).items()}
    if optimizer.name not in kinds:
        return None
    options: dict[str, Any] = optimizer.values()
    if "beta1" in options:
        options["betas"] = options.pop("beta1"), options.pop("beta2")
    options |= {name: bool(options[name]) for name in ("nesterov", "centered") if name in options}
    made: torch.optim.Optimizer = kinds[optimizer.name](list(parameters), lr=rate, **options, **further)
    return made
