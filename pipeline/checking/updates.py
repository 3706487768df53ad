"""Clipping and optimizer in the graphs against torch's.

Both are given the lowered gradients, twice, so that moments count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from device_runtime.formats.model import Tensor
from pipeline.checking.differences import LIMITS, absolute, largest, relative
from pipeline.checking.lowered_side import LoweredSide
from pipeline.checking.observed import Array, Batch, Step
from pipeline.checking.torch_optimizer import torch_optimizer
from pipeline.errors import ModelError
from pipeline.optimizers import Optimizer
from pipeline.recipe import Recipe

LIMIT = 1e-4
EPS, TINY = float(np.finfo(np.float32).eps), float(np.finfo(np.float32).tiny)
# Of a rate of 0 nothing would move.
LEAST_RATE = 1e-3
# Elements that are compared at once, tensors being whole.
PART = 2**20
# Of the train step's vectors.
LARGEST_BYTES = 64 * 2**20


def check_updates(ours: LoweredSide, gradients: Sequence[Mapping[str, Array]], recipe: Recipe) -> float | None:
    """Compares update_step.onnx with torch.optim, and where the recipe clips with torch's clipping before it.

    The vectors are compared part by part, as the runner updates them.

    Returns the largest difference relative to how far it moves; None where torch has no such optimizer.

    Raises:
      ModelError: they differ.
    """
    if torch_optimizer(recipe.optimizer, [torch.zeros(1, requires_grad=True)], LEAST_RATE) is None:
        return None
    parts = list(_parts(ours.model.parameters))
    clippings = [_clipping(ours, gradient, parts, recipe.clip_norm) for gradient in gradients]
    moves = [_Move() for _ in gradients]
    for part in parts:
        _follow(ours, gradients, clippings, part, recipe, moves)
    for number, move in enumerate(moves, start=1):
        move.judge(recipe.optimizer, number)
    return max(move.difference / max(move.step, TINY) for move in moves)


def check_train_step(ours: LoweredSide, batch: Batch, step: Step, optimizer: Optimizer) -> None:
    """Compares train_step.onnx with the gradient step and the update after it, which torch was compared with.

    What is linear in the gradient is: the optimizer's states, or the parameters of one without. Adam's own division
    makes of rounding in a gradient near 0 any step. A step that takes and gives very large vectors is left out.

    Raises:
      ModelError: they differ.
    """
    if ours.parameters.nbytes * (1 + len(optimizer.states())) > LARGEST_BYTES:
        return
    results = ours.train(batch, LEAST_RATE)
    tensors = ours.model.parameters
    gradient = _vector(step.gradients, tensors)
    expected = ours.update(gradient, ours.share([gradient]), LEAST_RATE, 1, ours.parameters, {}) | {"loss": step.loss}
    if step.buffers:
        expected["buffers_out"] = np.concatenate([np.ravel(value) for value in step.buffers.values()])
    names = ["loss", *(["buffers_out"] if step.buffers else []), *(f"{name}_out" for name in optimizer.states())]
    for name in names if optimizer.states() else [*names, "parameters_out"]:
        if relative(results[name], expected[name]) > LIMITS["gradients"]:
            raise ModelError(
                f"train_step.onnx gives another {name} than gradient_step.onnx and update_step.onnx: this is a fault "
                "of the program; --no-check trains all the same"
            )


# Some tensors that lie one after another.
_Part = Sequence[Tensor]


@dataclass(frozen=True)
class _Clipping:
    """Of one gradient: the share that the runner takes of it, and the norm by which torch clips."""

    share: float
    norm: torch.Tensor | None


@dataclass
class _Move:
    """One update of all parameters.

    Attributes:
      difference: the largest of ours and torch's.
      step: how far torch moves at most.
      tensors: of each tensor, by name, the difference and what rounding may make of it.
    """

    difference: float = 0.0
    step: float = 0.0
    tensors: dict[str, tuple[float, float]] = field(default_factory=dict)

    def judge(self, optimizer: Optimizer, number: int) -> None:
        """Raises ModelError where a tensor moves otherwise than torch's."""
        for name, (difference, rounding) in self.tensors.items():
            if not difference <= LIMIT * max(self.step, TINY) + rounding:
                raise ModelError(
                    f"update {number} of {optimizer.name} moves {name} otherwise than torch.optim: by "
                    f"{difference:.1e} where the largest step is {self.step:.1e}; choose another --optimizer; "
                    "--no-check trains all the same"
                )


def _parts(tensors: Sequence[Tensor]) -> Iterator[_Part]:
    part: list[Tensor] = []
    for tensor in tensors:
        part.append(tensor)
        if sum(one.size for one in part) >= PART:
            yield part
            part = []
    if part:
        yield part


def _vector(gradient: Mapping[str, Array], part: _Part) -> Array:
    return np.concatenate([np.ravel(gradient[tensor.name]) for tensor in part])


def _clipping(
    ours: LoweredSide, gradient: Mapping[str, Array], parts: Sequence[_Part], clip_norm: float | None
) -> _Clipping:
    if clip_norm is None:
        return _Clipping(1.0, None)
    norms = [torch.from_numpy(_vector(gradient, part).astype(np.float64)).norm() for part in parts]
    return _Clipping(ours.share(_vector(gradient, part) for part in parts), torch.stack(norms).norm())


def _follow(
    ours: LoweredSide,
    gradients: Sequence[Mapping[str, Array]],
    clippings: Sequence[_Clipping],
    part: _Part,
    recipe: Recipe,
    moves: Sequence[_Move],
) -> None:
    """Makes every update of a part on both sides."""
    optimizer, rate = recipe.optimizer, recipe.learning_rate or LEAST_RATE
    start, end = part[0].offset, part[-1].offset + part[-1].size
    parameters, states = ours.parameters[start:end], dict[str, Array]()
    vector = torch.from_numpy(parameters.astype(np.float64)).requires_grad_()
    theirs = torch_optimizer(optimizer, [vector], rate)
    for number, (gradient, clipping, move) in enumerate(zip(gradients, clippings, moves, strict=True), start=1):
        flat, before = _vector(gradient, part), vector.detach().numpy().copy()
        vector.grad = torch.from_numpy(flat.astype(np.float64))
        if clipping.norm is not None and recipe.clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_([vector], recipe.clip_norm, clipping.norm)
        if theirs:
            theirs.step()
        results = ours.update(flat, clipping.share, rate, number, parameters, states)
        parameters = results["parameters_out"]
        states = {name: results[f"{name}_out"] for name in optimizer.states()}
        expected = vector.detach().numpy()
        move.step = max(move.step, largest(expected - before))
        for tensor in part:
            own = slice(tensor.offset - start, tensor.offset - start + tensor.size)
            rounding = 2 * EPS * number * max(largest(before[own]), largest(expected[own]))
            difference = absolute(parameters[own], expected[own])
            move.difference = max(move.difference, difference)
            move.tensors[tensor.name] = difference, rounding
