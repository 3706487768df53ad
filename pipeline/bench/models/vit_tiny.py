"""ViT-Tiny. Dosovitskiy et al., arXiv:2010.11929; of this size: Touvron et al., arXiv:2012.12877, table 1."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.bench.models import blocks

RECIPE = blocks.recipe(learning_rate=0.01)

PATCH, WIDTH, HEADS, LAYERS = 16, 192, 3, 12
# For images of up to 224×224; smaller ones take the first positions.
TOKENS = 1 + 14 * 14


class VisionTransformer(nn.Module):
    """Patches of 16×16 pixels as tokens behind one for the class, whose output the dense layer reads."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.class_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.positions = nn.Parameter(torch.randn(TOKENS, WIDTH) * 0.02)
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 4 * WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, LAYERS, norm=nn.LayerNorm(WIDTH), enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, classes)

    def forward(self, image: Tensor) -> Tensor:
        """Logits, float32 N×classes, of `image`, float32 N×3×H×W."""
        patches = self.patches(image).flatten(2).transpose(1, 2)
        token = self.class_token.expand(image.shape[0], -1, -1)
        tokens = torch.cat((token, patches), 1)
        hidden = self.encoder(tokens + self.positions[: tokens.shape[1]])
        logits: Tensor = self.head(hidden[:, 0])
        return logits


def build(classes: int = 10) -> nn.Module:
    """ViT-Tiny without dropout."""
    return VisionTransformer(classes)
