"""MobileNetV2. Sandler et al., "Inverted residuals and linear bottlenecks", arXiv:1801.04381, table 2."""

from __future__ import annotations

from torch import Tensor, nn

from pipeline.bench.models import blocks
from pipeline.bench.models.blocks import convolution, initialise

RECIPE = blocks.recipe(learning_rate=0.001)

# Expansion, channels, blocks, stride of the first block.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
LAST = 1280


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, linear projection; with a shortcut where the size stays."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        self.has_shortcut = inputs == outputs and stride == 1
        hidden = inputs * expansion
        expand = [] if expansion == 1 else [convolution(inputs, hidden, activation=nn.ReLU6)]
        depthwise = convolution(hidden, hidden, 3, stride, hidden, activation=nn.ReLU6)
        project = convolution(hidden, outputs, scale=0.0 if self.has_shortcut else 1.0)
        self.body = nn.Sequential(*expand, depthwise, project)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.body(x)
        return x + result if self.has_shortcut else result


def build(classes: int = 10) -> nn.Module:
    """MobileNetV2 without dropout, so that two implementations can be compared."""
    layers: list[nn.Module] = [convolution(3, 32, 3, 2, activation=nn.ReLU6)]
    inputs = 32
    for expansion, outputs, count, stride in STAGES:
        for number in range(count):
            layers.append(InvertedResidual(inputs, outputs, 1 if number else stride, expansion))
            inputs = outputs
    layers += [convolution(inputs, LAST, activation=nn.ReLU6), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    network = nn.Sequential(*layers, nn.Linear(LAST, classes))
    initialise(network)
    return network
