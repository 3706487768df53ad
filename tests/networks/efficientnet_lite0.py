"""EfficientNet-Lite0, from the package that `transfer` takes its backbone from."""

from __future__ import annotations

from efficientnet_lite_pytorch import EfficientNet
from torch import nn

from tests.networks import blocks
from tests.networks.blocks import initialise

RECIPE = blocks.recipe(learning_rate=0.001)


def build(classes: int = 10) -> nn.Module:
    """EfficientNet-Lite0 without dropout and drop connect, so that two implementations can be compared."""
    network: EfficientNet = EfficientNet.from_name(
        "efficientnet-lite0",
        num_classes=classes,
        image_size=RECIPE.preprocessing.height,
        dropout_rate=0.0,
        drop_connect_rate=0.0,
    )
    initialise(network)
    for block in network._blocks:
        options = block._block_args
        if options.stride == 1 and options.input_filters == options.output_filters:
            nn.init.zeros_(block._bn2.weight)
    built: nn.Module = network
    return built
