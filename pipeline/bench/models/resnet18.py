"""ResNet-18. He et al., "Deep residual learning for image recognition", arXiv:1512.03385, table 1."""

from __future__ import annotations

from torch import Tensor, nn

from pipeline.bench.models import blocks
from pipeline.bench.models.blocks import convolution, initialise

RECIPE = blocks.recipe(learning_rate=0.01)

STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))
BLOCKS_PER_STAGE = 2


class Residual(nn.Module):
    """Two 3×3 convolutions beside a shortcut, which is projected where the size changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        first = convolution(inputs, outputs, 3, stride, activation=nn.ReLU)
        self.body = nn.Sequential(first, convolution(outputs, outputs, 3, scale=0.0))
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else convolution(inputs, outputs, stride=stride)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.relu(self.body(x) + self.shortcut(x))
        return result


def build(classes: int = 10) -> nn.Module:
    """ResNet-18 with the paper's initial weights."""
    layers: list[nn.Module] = [convolution(3, 64, 7, 2, activation=nn.ReLU), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for outputs, stride in STAGES:
        for number in range(BLOCKS_PER_STAGE):
            layers.append(Residual(inputs, outputs, 1 if number else stride))
            inputs = outputs
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))
    initialise(network)
    return network
