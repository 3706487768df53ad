"""Small models in the ways people write them, by what is particular about each."""

from __future__ import annotations

from torch import nn
from torch.nn.utils import parametrizations

from tests.sweep.case import Case, factory_of, layer

AS_WRITTEN: dict[str, Case] = {
    "spectral_norm": layer(lambda: parametrizations.spectral_norm(nn.Conv2d(4, 6, 3)), 4, 6, 6),
}

__getattr__ = factory_of(AS_WRITTEN)
