"""ConvNeXt-Atto: the smallest of the family."""

from __future__ import annotations

from torch import nn

from pipeline.bench.models import convnext

RECIPE = convnext.RECIPE


def build(classes: int = 10) -> nn.Module:
    """ConvNeXt-Atto without stochastic depth."""
    return convnext.network((40, 80, 160, 320), (2, 2, 6, 2), classes)
