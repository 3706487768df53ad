"""A small network of the kind of MobileNet: first a convolution of stride 2, then depthwise-separable ones, ReLU6."""

from __future__ import annotations

from torch import nn

from pipeline.recipe import Preprocessing, Recipe

CLASSES = 10

RECIPE = Recipe(preprocessing=Preprocessing(height=32, width=32))

# Output channels and stride of each block.
_BLOCKS = ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2))


def build() -> nn.Module:
    """Logits, float32 N×10, of float32 N×3×32×32."""
    channels = 16
    layers: list[nn.Module] = [_normalised(nn.Conv2d(3, channels, 3, 2, padding=1, bias=False))]
    for wider, stride in _BLOCKS:
        depthwise = nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False)
        layers += [_normalised(depthwise), _normalised(nn.Conv2d(channels, wider, 1, bias=False))]
        channels = wider
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES))


def _normalised(convolution: nn.Conv2d) -> nn.Module:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU6())
