"""torch's random operators answered with fixed numbers: those that the calm gradient step takes too."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.lowering.rules.randomness import BERNOULLI, NORMAL, UNIFORM

_FILLED = {
    "aten::rand": UNIFORM,
    "aten::rand_like": UNIFORM,
    "aten::randn": NORMAL,
    "aten::randn_like": NORMAL,
    "aten::bernoulli": BERNOULLI,
    "aten::bernoulli_": BERNOULLI,
}


@contextmanager
def calmed() -> Iterator[None]:
    """In the block nothing that torch computes is random; its generator is afterwards where it was."""
    with torch.random.fork_rng(devices=[]), _Calm():  # type: ignore[no-untyped-call]
        yield


class _Calm(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = func._schema.name
        if name in ("aten::rrelu_with_noise", "aten::rrelu_with_noise_"):
            return _rrelu(name.endswith("_"), *args, **(kwargs or {}))
        result = func(*args, **(kwargs or {}))
        if name in _FILLED:
            return result.fill_(_FILLED[name])
        if name == "aten::randperm":
            # The order of equal numbers, of which the graph makes it.
            return result.copy_(torch.arange(len(result)))
        if name == "aten::uniform_":
            start, end = _pair(args, kwargs, ("from", "to"), (0.0, 1.0))
            return result.fill_(start + (end - start) * UNIFORM)
        if name == "aten::normal_":
            mean, deviation = _pair(args, kwargs, ("mean", "std"), (0.0, 1.0))
            return result.fill_(mean + deviation * NORMAL)
        if name == "aten::normal":
            mean, deviation = args[0], (kwargs or {}).get("std", args[1] if len(args) > 1 else 1.0)
            return result.copy_(torch.as_tensor(mean) + torch.as_tensor(deviation) * NORMAL)
        if name == "aten::exponential_":
            rate = float((kwargs or {}).get("lambd", args[1] if len(args) > 1 else 1.0))
            return result.fill_(-math.log(UNIFORM) / rate)
        if name == "aten::native_dropout" and args[2] and args[1] < 1:
            # As the other dropouts of a mask of ones: all is kept and scaled.
            return args[0] / (1 - args[1]), torch.ones_like(args[0], dtype=torch.bool)
        return result


def _rrelu(
    in_place: bool,
    self: Tensor,
    noise: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Torch's rrelu_with_noise: the slope of each element is in `noise` afterwards."""
    below = lower + (upper - lower) * UNIFORM if training else (lower + upper) / 2
    slope = torch.where(self > 0, 1.0, below)
    if training:
        noise.copy_(slope)
    return self.mul_(slope) if in_place else self * slope


def _pair(
    args: Sequence[Any], kwargs: Mapping[str, Any] | None, names: tuple[str, str], defaults: tuple[float, float]
) -> tuple[float, float]:
    """The two numbers behind the tensor that a draw in place takes, by place or by name."""
    values = {**dict(zip(names, defaults, strict=True)), **(kwargs or {}), **dict(zip(names, args[1:3], strict=False))}
    return float(values[names[0]]), float(values[names[1]])
