"""The functions of tensors that models use, by their names in torch."""

from __future__ import annotations

import torch

from tests.sweep.case import Case, factory_of, function

TENSORS: dict[str, Case] = {
    "cumsum": function(lambda x: torch.cumsum(x, 2), 4, 6, 6),
}

__getattr__ = factory_of(TENSORS)
