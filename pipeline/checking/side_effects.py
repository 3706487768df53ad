"""What a forward pass does beside its result, and no graph can: it is refused by name."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from pipeline.errors import ModelError

_SEED = 0x5EED_0FF0
_TORCHS_OWN = frozenset(("training",))

# Name and value of a number by the module's path.
_Numbers = dict[tuple[str, str], int | float]


@contextmanager
def refusing_side_effects(module: nn.Module) -> Iterator[None]:
    """Within the block the module is run, and may change its buffers, its gradients and nothing else.

    To be used where torch's generator is put back afterwards: the block begins with a seed that nobody else sets.

    Raises:
      ModelError: it changes a parameter or a number that it keeps in Python, or draws random numbers from elsewhere
        than torch's own generator.
    """
    drawn, numbers, weights = _generators(), _numbers(module), _weights(module)
    torch.manual_seed(_SEED)
    yield
    if _generators() != drawn:
        raise ModelError(
            "the model draws random numbers from Python or numpy: one draw would be traced for all steps; draw them "
            "with torch, as torch.rand"
        )
    if torch.initial_seed() != _SEED:
        raise ModelError("the model sets torch's seed when it runs, which no graph does: leave it out of forward")
    for (path, name), number in _numbers(module).items():
        if numbers.get((path, name), number) != number:
            raise ModelError(
                f"{_of(path)} counts in {name!r} when it runs ({numbers[path, name]} became {number}), which no graph "
                "carries: make it a buffer (register_buffer), or train it all the same with --no-check"
            )
    moved = [name for name, state in _weights(module).items() if weights.get(name) != state]
    if moved:
        raise ModelError(
            f"forward itself changes the parameter {moved[0]}, which here the optimizer alone does: compute what is "
            "used from it (a parametrization), or make it a buffer"
        )


def _generators() -> tuple[object, bytes]:
    kind, keys, *rest = np.random.get_state(legacy=True)
    return (random.getstate(), kind, *rest), np.asarray(keys).tobytes()


def _numbers(module: nn.Module) -> _Numbers:
    """The numbers and flags that the user's classes keep; bool is an int."""
    return {
        (path, name): value
        for path, child in module.named_modules()
        for name, value in vars(child).items()
        if isinstance(value, (int, float)) and name not in _TORCHS_OWN
    }


def _weights(module: nn.Module) -> dict[str, tuple[int, float]]:
    """Where each parameter lies and what it adds up to: `.data` changes it behind torch's back."""
    with torch.no_grad():
        return {n: (p.data_ptr(), float(p.sum(dtype=torch.float64))) for n, p in module.named_parameters()}


def _of(path: str) -> str:
    return f"the module {path!r}" if path else "the model itself"
