"""An LSTM of 128 units that reads an image row by row, and a dense layer behind its last step."""

from __future__ import annotations

import torch
from torch import nn

from pipeline.optimizers import Optimizer
from pipeline.recipe import Preprocessing, Recipe

CLASSES, SIDE, UNITS = 10, 28, 128

RECIPE = Recipe(Preprocessing(SIDE, SIDE), Optimizer("adam"), batch_size=64, learning_rate=5e-3)


class Rows(nn.Module):
    """Each row is a step."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.LSTM(SIDE, UNITS, batch_first=True)
        self.head = nn.Linear(UNITS, CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits, float32 N×10, of `image`, float32 N×1×28×28."""
        _, (last, _) = self.rows(image.squeeze(1))
        logits: torch.Tensor = self.head(last[0])
        return logits


def build() -> nn.Module:
    """The network with torch's initial weights."""
    return Rows()
