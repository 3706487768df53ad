"""EfficientNet-Lite0, from the package that `transfer` takes its backbone from."""

from __future__ import annotations

from efficientnet_lite_pytorch import EfficientNet
from torch import nn

from tests.networks import blocks

RECIPE = blocks.RECIPE


def build(classes: int = 10) -> nn.Module:
    """EfficientNet-Lite0 without dropout and drop connect, so that two implementations can be compared."""
    network: nn.Module = EfficientNet.from_name(
        "efficientnet-lite0",
        num_classes=classes,
        image_size=RECIPE.preprocessing.height,
        dropout_rate=0.0,
        drop_connect_rate=0.0,
    )
    return network
