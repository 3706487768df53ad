"""What has no form here is refused by the operator's name and the module in which it is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_runtime.formats.sample import picture
from pipeline.errors import LoweringError
from pipeline.recipe import Preprocessing, Recipe
from tests.pipeline import stages

SIDE = 6
TEXT = """
import torch
from torch import nn
class Odd(nn.Module):
    def forward(self, x):
        return {odd}
def network():
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 12), nn.Sequential(nn.ReLU(), Odd()), nn.Linear(12, 4))
"""

REFUSED = {
    "an operator without a rule": (
        "x - x.mode(1, keepdim=True)[0]",
        r"mode \(in the module '2.1'\): the standard has no",
    ),
    "one that torch takes apart": ("x + torch.special.bessel_j0(x.detach())", r"prims\.bessel_j0"),
    "a type that the graphs lack": (
        "x * (x > 0).to(torch.bfloat16)",
        r"_to_copy in the type torch.bfloat16; use one of",
    ),
    "a decomposition": (
        "x * torch.linalg.eigvalsh(x @ x.t()).sum()",
        r"_linalg_eigh \(in the module '2.1'\): .* buffer",
    ),
    "complex numbers": ("torch.tanh(torch.complex(x, x)).abs()", r"tanh of complex numbers; compute with their parts"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_one_line_that_names_it(name: str, tmp_path: Path) -> None:
    odd, message = REFUSED[name]
    source = stages.module_of(TEXT.replace("{odd}", odd), tmp_path)
    with pytest.raises(LoweringError, match=message) as caught:
        stages.build(source, Recipe(Preprocessing(SIDE, SIDE)), picture(SIDE, SIDE, 1), 4, tmp_path)
    assert "\n" not in str(caught.value)
