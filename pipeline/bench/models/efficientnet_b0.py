"""EfficientNet-B0. Tan and Le, "EfficientNet: rethinking model scaling", arXiv:1905.11946, table 1."""

from __future__ import annotations

from torch import Tensor, nn

from pipeline.bench.models import blocks
from pipeline.bench.models.blocks import convolution, initialise

RECIPE = blocks.recipe(learning_rate=0.01)

# Expansion, kernel, stride of the first block, channels, blocks.
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
FIRST, LAST = 32, 1280


class SqueezeExcitation(nn.Module):
    """Scales each channel by a gate of all channels' means; a quarter of the block's inputs wide."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            *(nn.Conv2d(channels, squeezed, 1), nn.SiLU()),
            *(nn.Conv2d(squeezed, channels, 1), nn.Sigmoid()),
        )

    def forward(self, x: Tensor) -> Tensor:
        scaled: Tensor = x * self.gate(x)
        return scaled


class MBConv(nn.Module):
    """MobileNetV2's inverted residual with SiLU, and squeeze and excitation before the projection."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        self.has_shortcut = inputs == outputs and stride == 1
        hidden = inputs * expansion
        expand = [] if expansion == 1 else [convolution(inputs, hidden, activation=nn.SiLU)]
        depthwise = convolution(hidden, hidden, kernel, stride, hidden, activation=nn.SiLU)
        project = convolution(hidden, outputs, scale=0.0 if self.has_shortcut else 1.0)
        self.body = nn.Sequential(*expand, depthwise, SqueezeExcitation(hidden, inputs // 4), project)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.body(x)
        return x + result if self.has_shortcut else result


def build(classes: int = 10) -> nn.Module:
    """EfficientNet-B0 without dropout and stochastic depth, so that two implementations can be compared."""
    layers: list[nn.Module] = [convolution(3, FIRST, 3, 2, activation=nn.SiLU)]
    inputs = FIRST
    for expansion, kernel, stride, outputs, count in STAGES:
        for number in range(count):
            layers.append(MBConv(inputs, outputs, kernel, 1 if number else stride, expansion))
            inputs = outputs
    layers += [convolution(inputs, LAST, activation=nn.SiLU), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    network = nn.Sequential(*layers, nn.Linear(LAST, classes))
    initialise(network)
    return network
