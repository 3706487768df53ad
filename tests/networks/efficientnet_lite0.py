"""EfficientNet-Lite0, from the package that `transfer` takes its backbone from."""

from __future__ import annotations

from efficientnet_lite_pytorch import EfficientNet
from efficientnet_lite_pytorch.model import MBConvBlock
from torch import nn

from pipeline.bench.models import blocks
from pipeline.bench.models.blocks import initialise

RECIPE = blocks.recipe(learning_rate=0.001)


def build(classes: int = 10) -> nn.Module:
    """EfficientNet-Lite0 without dropout and drop connect, so that two implementations can be compared."""
    network: nn.Module = EfficientNet.from_name(
        "efficientnet-lite0",
        num_classes=classes,
        image_size=RECIPE.preprocessing.height,
        dropout_rate=0.0,
        drop_connect_rate=0.0,
    )
    initialise(network)
    for block in network.modules():
        if isinstance(block, MBConvBlock) and _has_shortcut(block):
            nn.init.zeros_(block._bn2.weight)
    return network


def _has_shortcut(block: MBConvBlock) -> bool:
    options = block._block_args
    return bool(options.stride == 1 and options.input_filters == options.output_filters)
