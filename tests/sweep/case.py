"""One layer or function within a small model: images 3×8×8, 4 classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

CLASSES, CHANNELS, SIDE = 4, 3, 8

# Of an embedding with max_norm.
RENEWED = "changes its weight in place when it is read, which here the optimizer alone does: leave max_norm out"


@dataclass(frozen=True)
class Case:
    """What is tried.

    Attributes:
      build: makes the model.
      refused: "" where it trains; else a part of what the refusal says, with the operator's name and what to use.
    """

    build: Callable[[], nn.Module]
    refused: str = ""


class Around(nn.Module):
    """A model in which trained layers stand before and behind what is tried.

    Args:
      operation: what is tried: a module or a function of a tensor N×shape.
      shape: of what it is given for one image.
    """

    def __init__(self, operation: Callable[[Tensor], Any], shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape
        self.stem = nn.Linear(CHANNELS * SIDE * SIDE, math.prod(shape))
        self.operation = operation
        with torch.no_grad():
            example = self.tried(torch.zeros(2, CHANNELS, SIDE, SIDE))
        self.head = nn.Linear(example.shape[1], CLASSES)

    def tried(self, image: Tensor) -> Tensor:
        hidden = torch.tanh(self.stem(image.flatten(1))).view(-1, *self.shape)
        return flat(self.operation(hidden))

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(self.tried(image))
        return logits


def flat(result: Any) -> Tensor:
    """A result or several as one float32 vector for each image."""
    parts = result if isinstance(result, (tuple, list)) else [result]
    reals = [torch.view_as_real(part.resolve_conj()) if part.is_complex() else part for part in parts]
    return torch.cat([part.float().flatten(1) for part in reals], 1)


def layer(make: Callable[[], Callable[[Tensor], Any]], *shape: int, refused: str = "") -> Case:
    """A case of a layer that `make` makes, given N×shape."""
    return Case(lambda: Around(make(), shape), refused)


def function(operation: Callable[[Tensor], Any], *shape: int, refused: str = "") -> Case:
    """A case of a function, given N×shape."""
    return Case(lambda: Around(operation, shape), refused)


def factory_of(cases: Mapping[str, Case]) -> Callable[[str], Callable[[], nn.Module]]:
    """The `__getattr__` of a module of cases, by which each case is a factory that `--model file.py:name` may name."""

    def find(name: str) -> Callable[[], nn.Module]:
        if name not in cases:
            raise AttributeError(name)
        return cases[name].build

    return find
