"""MobileNetV2. Sandler et al., "Inverted residuals and linear bottlenecks", arXiv:1801.04381, table 2."""

from __future__ import annotations

from torch import nn

from pipeline.bench.models import blocks
from pipeline.bench.models.blocks import InvertedResidual, convolution, initialise

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


def build(classes: int = 10) -> nn.Module:
    """MobileNetV2 without dropout, so that two implementations can be compared."""
    layers: list[nn.Module] = [convolution(3, 32, 3, 2, activation=nn.ReLU6)]
    inputs = 32
    for expansion, outputs, count, stride in STAGES:
        for number in range(count):
            hidden, stride_here = inputs * expansion, 1 if number else stride
            layers.append(InvertedResidual(inputs, hidden, outputs, 3, stride_here, nn.ReLU6))
            inputs = outputs
    layers += [convolution(inputs, LAST, activation=nn.ReLU6), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    network = nn.Sequential(*layers, nn.Linear(LAST, classes))
    initialise(network)
    return network
