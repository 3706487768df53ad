"""A small transformer encoder: embedding of 64 tokens, two layers with layer norm and GELU, mean, dense layer."""

from __future__ import annotations

import torch
from torch import nn

from pipeline.recipe import Preprocessing, Recipe

CLASSES, TOKENS, VOCABULARY, WIDTH, HEADS, LAYERS = 10, 64, 256, 64, 4, 2

# The tokens are the pixels of an 8×8 image as they are, 0 to 255.
RECIPE = Recipe(preprocessing=Preprocessing(height=8, width=8, scale=1.0))


class Transformer(nn.Module):
    """Each pixel is a token; positions have an embedding too."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.positions = nn.Parameter(torch.randn(TOKENS, WIDTH) * 0.02)
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 4 * WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, LAYERS, norm=nn.LayerNorm(WIDTH), enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits, float32 N×10, of `image`, float32 N×1×8×8 with whole numbers."""
        hidden = self.tokens(image.flatten(1).long()) + self.positions
        logits: torch.Tensor = self.head(self.encoder(hidden).mean(1))
        return logits


def build() -> nn.Module:
    """The network with torch's initial weights."""
    return Transformer()
