"""ConvNeXt-Tiny: the smallest of the paper's."""

from __future__ import annotations

from torch import nn

from pipeline.bench.models import convnext

RECIPE = convnext.RECIPE


def build(classes: int = 10) -> nn.Module:
    """ConvNeXt-Tiny without stochastic depth."""
    return convnext.network((96, 192, 384, 768), (3, 3, 9, 3), classes)
