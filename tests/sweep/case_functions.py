"""How functions of torch.nn.functional stand within a small model, beside `case.function`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tests.sweep.case import Around, Case, layer


class Weighted(nn.Module):
    """A function of a tensor and of weights that train."""

    def __init__(self, operation: Callable[..., Any], *shapes: Sequence[int]) -> None:
        super().__init__()
        self.operation = operation
        self.weights = nn.ParameterList(0.5 * torch.randn(*shape) for shape in shapes)

    def forward(self, x: Tensor) -> Any:
        return self.operation(x, *self.weights)


class InTraining(nn.Module):
    """A function of a tensor and of whether the model trains, as what draws random numbers has to be."""

    def __init__(self, operation: Callable[[Tensor, bool], Any]) -> None:
        super().__init__()
        self.operation = operation

    def forward(self, x: Tensor) -> Any:
        return self.operation(x, self.training)


def weighted(operation: Callable[..., Any], shape: Sequence[int], *weights: Sequence[int], refused: str = "") -> Case:
    """A case of a function of N×shape and of weights of these shapes."""
    return layer(lambda: Weighted(operation, *weights), *shape, refused=refused)


def in_training(operation: Callable[[Tensor, bool], Any], *shape: int, refused: str = "") -> Case:
    """A case of a function of N×shape and of whether the model trains."""
    return layer(lambda: InTraining(operation), *shape, refused=refused)


def loss(operation: Callable[..., Tensor], *shape: int, parts: int = 2, refused: str = "") -> Case:
    """A case of a loss of `parts` tensors N×shape: a number, one for each image, or one for each element."""

    def scaled(x: Tensor) -> Tensor:
        value = operation(*x.unbind(1))
        return x.flatten(1) * (value.flatten(1).sum(1, keepdim=True) if value.dim() > 1 else value.reshape(-1, 1))

    return Case(lambda: Around(scaled, (parts, *shape)), refused)


def labels(x: Tensor) -> Tensor:
    """A label below 4 for each image of N×…."""
    return torch.arange(x.shape[0]) % 4


def pixel_labels(x: Tensor, classes: int = 4) -> Tensor:
    """A label for each pixel of N×…: int64 N×H×W of N×K×H×W."""
    return torch.arange(x.shape[2] * x.shape[3]).view(1, *x.shape[2:]).expand(x.shape[0], -1, -1) % classes


def signs(x: Tensor) -> Tensor:
    """1 and −1 by turns, one for each image."""
    return (labels(x) % 2) * 2 - 1


def chances(*parts: Tensor) -> tuple[Tensor, ...]:
    """Each tensor between 0 and 1."""
    return tuple(torch.sigmoid(part) for part in parts)
