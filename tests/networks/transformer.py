"""A transformer encoder over bytes. Vaswani et al., arXiv:1706.03762; norms first: Xiong et al., arXiv:2002.04745.

A text of 64 bytes is an image of 1×64 pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.recipe import Optimizer, Preprocessing, Recipe

LENGTH, VOCABULARY = 64, 256
WIDTH, HEADS, LAYERS = 64, 4, 4

RECIPE = Recipe(Preprocessing(1, LENGTH, scale=1.0), Optimizer("sgd"), batch_size=8, learning_rate=0.1)


class Encoder(nn.Module):
    """Embedding of bytes and positions, attention and GELU in four layers, a dense layer on the mean."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.positions = nn.Parameter(torch.randn(LENGTH, WIDTH))
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 4 * WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, LAYERS, nn.LayerNorm(WIDTH), enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, classes)

    def forward(self, image: Tensor) -> Tensor:
        """Logits, float32 N×classes, of `image`, float32 N×1×1×64 of whole numbers."""
        embedded = self.tokens(image.flatten(1).long()) + self.positions
        logits: Tensor = self.head(self.layers(embedded).mean(1))
        return logits


def build(classes: int = 10) -> nn.Module:
    """The encoder."""
    return Encoder(classes)
