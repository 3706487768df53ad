"""ConvNeXt. Liu et al., "A ConvNet for the 2020s", arXiv:2201.03545; Atto: Woo et al., arXiv:2301.00808, table 11."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.bench.models import blocks

RECIPE = blocks.recipe(learning_rate=0.001)

# What the paper starts each layer's scale at.
SCALE = 1e-6


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each pixel of N×C×H×W."""

    def forward(self, x: Tensor) -> Tensor:
        normal: Tensor = super().forward(x.permute(0, 2, 3, 1))
        return normal.permute(0, 3, 1, 2)


class Block(nn.Module):
    """A depthwise convolution of 7×7, then for each pixel a dense layer four times as wide, and back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.dense = nn.Sequential(
            nn.LayerNorm(width, eps=1e-6), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.scale = nn.Parameter(torch.full((width,), SCALE))

    def forward(self, x: Tensor) -> Tensor:
        pixels = self.dense(self.depthwise(x).permute(0, 2, 3, 1)) * self.scale
        result: Tensor = x + pixels.permute(0, 3, 1, 2)
        return result


def network(widths: Sequence[int], depths: Sequence[int], classes: int) -> nn.Module:
    """A ConvNeXt of so many channels and blocks in each of its stages."""
    layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, 4), ChannelNorm(widths[0], eps=1e-6)]
    inputs = widths[0]
    for width, depth in zip(widths, depths, strict=True):
        if width != inputs:
            layers += [ChannelNorm(inputs, eps=1e-6), nn.Conv2d(inputs, width, 2, 2)]
        layers += [Block(width) for _ in range(depth)]
        inputs = width
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(inputs, eps=1e-6), nn.Linear(inputs, classes))
    built = nn.Sequential(*layers, *head)
    for layer in built.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return built
