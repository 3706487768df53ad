"""The layers of torch.nn, by their names there."""

from __future__ import annotations

from torch import nn

from tests.sweep.case import Case, factory_of, layer

LAYERS: dict[str, Case] = {
    "Conv2d": layer(lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2), 4, 6, 6),
}

# Not tried here, and why.
ELSEWHERE: dict[str, str] = {
    "Module": "the base of all",
}

__getattr__ = factory_of(LAYERS)
