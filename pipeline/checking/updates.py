"""Clipping and optimizer in the graphs against torch's.

Both are given the lowered gradients, twice, so that moments count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from device_runtime.formats.model import Tensor, by_name
from pipeline.checking.differences import LIMITS, absolute, largest, relative
from pipeline.checking.lowered_side import LoweredSide
from pipeline.checking.observed import Array, Batch, Step
from pipeline.errors import ModelError
from pipeline.optimizers import Optimizer
from pipeline.recipe import Recipe

LIMIT = 1e-4
EPS, TINY = float(np.finfo(np.float32).eps), float(np.finfo(np.float32).tiny)
# Of a rate of 0 nothing would move.
LEAST_RATE = 1e-3


def check_updates(ours: LoweredSide, gradients: Sequence[Array], recipe: Recipe) -> float | None:
    """Compares update_step.onnx with torch.optim, and where the recipe clips with `clip_grad_norm_` before it.

    Returns the largest difference relative to how far it moves; None where torch has no such optimizer.

    Raises:
      ModelError: they differ.
    """
    optimizer, rate = recipe.optimizer, recipe.learning_rate or LEAST_RATE
    vector = torch.from_numpy(ours.parameters.astype(np.float64)).requires_grad_()
    theirs = _torchs(optimizer, vector, rate)
    if theirs is None:
        return None
    parameters, states, most = ours.parameters, dict[str, Array](), 0.0
    for number, gradient in enumerate(gradients, start=1):
        before = vector.detach().numpy().copy()
        vector.grad = torch.from_numpy(gradient.astype(np.float64))
        if recipe.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_([vector], recipe.clip_norm)
        theirs.step()
        results = ours.update(gradient, rate, number, parameters, states)
        parameters = results["parameters_out"]
        states = {name: results[f"{name}_out"] for name in optimizer.states()}
        expected = vector.detach().numpy()
        most = max(most, _compare(parameters, expected, before, ours.model.parameters, optimizer, number))
    return most


def check_train_step(ours: LoweredSide, batch: Batch, step: Step, gradient: Array, optimizer: Optimizer) -> None:
    """Compares train_step.onnx with the gradient step and the update after it, which torch was compared with.

    What is linear in the gradient is: the optimizer's states, or the parameters of one without. Adam's own division
    makes of rounding in a gradient near 0 any step.

    Raises:
      ModelError: they differ.
    """
    results = ours.train(batch, LEAST_RATE)
    expected = ours.update(gradient, LEAST_RATE, 1, ours.parameters, {}) | {"loss": step.loss}
    if step.buffers:
        expected["buffers_out"] = np.concatenate([np.ravel(value) for value in step.buffers.values()])
    names = ["loss", *(["buffers_out"] if step.buffers else []), *(f"{name}_out" for name in optimizer.states())]
    for name in names if optimizer.states() else [*names, "parameters_out"]:
        if relative(results[name], expected[name]) > LIMITS["gradients"]:
            raise ModelError(
                f"train_step.onnx gives another {name} than gradient_step.onnx and update_step.onnx: this is a fault "
                "of the program; --no-check trains all the same"
            )


def _compare(
    ours: Array, theirs: Array, before: Array, tensors: Sequence[Tensor], optimizer: Optimizer, number: int
) -> float:
    new, old, expected = (by_name(vector, tensors) for vector in (ours, before, theirs))
    moved = max(largest(theirs - before), TINY)
    for name, value in new.items():
        rounding = EPS * number * max(largest(old[name]), largest(expected[name]))
        difference = absolute(value, expected[name])
        if not difference <= LIMIT * moved + 2 * rounding:
            raise ModelError(
                f"update {number} of {optimizer.name} moves {name} otherwise than torch.optim: by {difference:.1e} "
                f"where the largest step is {moved:.1e}; choose another --optimizer; --no-check trains all the same"
            )
    return absolute(ours, theirs) / moved


def _torchs(optimizer: Optimizer, vector: torch.Tensor, rate: float) -> torch.optim.Optimizer | None:
    """Torch's optimizer of that name; None where torch has none."""
    kinds: dict[str, Any] = {name.lower(): kind for name, kind in vars(torch.optim).items()}
    if optimizer.name not in kinds:
        return None
    options: dict[str, Any] = optimizer.values()
    if "beta1" in options:
        options["betas"] = options.pop("beta1"), options.pop("beta2")
    options |= {name: bool(options[name]) for name in ("nesterov", "centered") if name in options}
    made: torch.optim.Optimizer = kinds[optimizer.name]([vector], lr=rate, **options)
    return made
