"""MobileNetV3-Small. Howard et al., "Searching for MobileNetV3", arXiv:1905.02244, table 2."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from pipeline.bench.models import blocks
from pipeline.bench.models.blocks import InvertedResidual, SqueezeExcitation, initialise

RECIPE = blocks.recipe(learning_rate=0.05)

# Kernel, hidden channels, outputs, squeeze and excitation, activation, stride.
BLOCKS: tuple[tuple[int, int, int, bool, Callable[[], nn.Module], int], ...] = (
    (3, 16, 16, True, nn.ReLU, 2),
    (3, 72, 24, False, nn.ReLU, 2),
    (3, 88, 24, False, nn.ReLU, 1),
    (5, 96, 40, True, nn.Hardswish, 2),
    (5, 240, 40, True, nn.Hardswish, 1),
    (5, 240, 40, True, nn.Hardswish, 1),
    (5, 120, 48, True, nn.Hardswish, 1),
    (5, 144, 48, True, nn.Hardswish, 1),
    (5, 288, 96, True, nn.Hardswish, 2),
    (5, 576, 96, True, nn.Hardswish, 1),
    (5, 576, 96, True, nn.Hardswish, 1),
)
FIRST, LAST, DENSE = 16, 576, 1024

convolution = partial(blocks.convolution, eps=1e-3, momentum=0.01)


def build(classes: int = 10) -> nn.Module:
    """MobileNetV3-Small without dropout, so that two implementations can be compared."""
    layers: list[nn.Module] = [convolution(3, FIRST, 3, 2, activation=nn.Hardswish)]
    inputs = FIRST
    for kernel, hidden, outputs, squeezes, activation, stride in BLOCKS:
        squeeze = SqueezeExcitation(hidden, _to_eights(hidden / 4), nn.ReLU, nn.Hardsigmoid) if squeezes else None
        layers.append(InvertedResidual(inputs, hidden, outputs, kernel, stride, activation, convolution, squeeze))
        inputs = outputs
    layers += [convolution(inputs, LAST, activation=nn.Hardswish), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    network = nn.Sequential(*layers, nn.Linear(LAST, DENSE), nn.Hardswish(), nn.Linear(DENSE, classes))
    initialise(network)
    return network


def _to_eights(channels: float) -> int:
    """The nearest multiple of 8, but not more than a tenth below."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8
