"""The functions of torch.nn.functional, by their names there."""

from __future__ import annotations

from torch.nn import functional

from tests.sweep.case import Case, factory_of, function

FUNCTIONS: dict[str, Case] = {
    "pixel_shuffle": function(lambda x: functional.pixel_shuffle(x, 2), 4, 6, 6),
}

__getattr__ = factory_of(FUNCTIONS)
