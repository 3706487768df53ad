"""EfficientNet-B0. Tan and Le, "EfficientNet: rethinking model scaling", arXiv:1905.11946, table 1."""

from __future__ import annotations

from torch import nn

from pipeline.bench.models import blocks
from pipeline.bench.models.blocks import InvertedResidual, SqueezeExcitation, convolution, initialise

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


def build(classes: int = 10) -> nn.Module:
    """EfficientNet-B0 without dropout and stochastic depth, so that two implementations can be compared."""
    layers: list[nn.Module] = [convolution(3, FIRST, 3, 2, activation=nn.SiLU)]
    inputs = FIRST
    for expansion, kernel, stride, outputs, count in STAGES:
        for number in range(count):
            hidden, stride_here = inputs * expansion, 1 if number else stride
            squeeze = SqueezeExcitation(hidden, inputs // 4, nn.SiLU, nn.Sigmoid)
            layers.append(InvertedResidual(inputs, hidden, outputs, kernel, stride_here, nn.SiLU, squeeze=squeeze))
            inputs = outputs
    layers += [convolution(inputs, LAST, activation=nn.SiLU), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    network = nn.Sequential(*layers, nn.Linear(LAST, classes))
    initialise(network)
    return network
