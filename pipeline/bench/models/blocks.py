"""What the convolutional networks share."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from pipeline.recipe import Optimizer, Preprocessing, Recipe

# ImageNet's statistics, in units of pixel / 255.
PREPROCESSING = Preprocessing(64, 64, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def recipe(learning_rate: float) -> Recipe:
    """Plain SGD; the deeper and narrower a network, the smaller the rate at which float32 stays close to float64."""
    return Recipe(PREPROCESSING, Optimizer("sgd"), batch_size=8, learning_rate=learning_rate)


def convolution(
    inputs: int,
    outputs: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    activation: Callable[[], nn.Module] | None = None,
    scale: float = 1.0,
    eps: float = 1e-5,
    momentum: float = 0.1,
) -> nn.Sequential:
    """Convolution that keeps the image's size but for the stride, batch normalisation, and maybe an activation.

    A residual branch ends with an initial `scale` of 0, so that it begins as its shortcut. Goyal et al.,
    arXiv:1706.02677. Without that, 20 steps in float32 and in float64 differ by percents.
    """
    norm = nn.BatchNorm2d(outputs, eps, momentum)
    nn.init.constant_(norm.weight, scale)
    layers = (nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False), norm)
    return nn.Sequential(*layers, *([activation()] if activation else []))


class SqueezeExcitation(nn.Module):
    """Scales each channel by a gate of all channels' means. Hu et al., arXiv:1709.01507."""

    def __init__(
        self, channels: int, squeezed: int, activation: Callable[[], nn.Module], gate: Callable[[], nn.Module]
    ) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            *(nn.Conv2d(channels, squeezed, 1), activation()),
            *(nn.Conv2d(squeezed, channels, 1), gate()),
        )

    def forward(self, x: Tensor) -> Tensor:
        scaled: Tensor = x * self.gate(x)
        return scaled


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, linear projection; with a shortcut where the size stays.

    Sandler et al., arXiv:1801.04381.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int,
        kernel: int,
        stride: int,
        activation: Callable[[], nn.Module],
        convolution: Callable[..., nn.Module] = convolution,
        squeeze: nn.Module | None = None,
    ) -> None:
        """`squeeze` comes before the projection; `convolution` makes convolutions with their normalisation."""
        super().__init__()
        self.has_shortcut = inputs == outputs and stride == 1
        expand = [] if hidden == inputs else [convolution(inputs, hidden, activation=activation)]
        depthwise = convolution(hidden, hidden, kernel, stride, hidden, activation=activation)
        project = convolution(hidden, outputs, scale=0.0 if self.has_shortcut else 1.0)
        self.body = nn.Sequential(*expand, depthwise, *([squeeze] if squeeze else []), project)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.body(x)
        return x + result if self.has_shortcut else result


def initialise(network: nn.Module) -> None:
    """He et al.'s weights for convolutions, arXiv:1502.01852, small ones for what is dense."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
