"""Each family of operators gives torch's gradients for random shapes and attributes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from torch import Tensor, nn

from tests.pipeline.lowering.cases import Case
from tests.pipeline.lowering.families import FAMILIES, Family
from tests.pipeline.lowering.harness import assert_same, by_lowering, by_torch

CLASSES = 4
# Of the largest element: float32 against float64, on logits that may be large.
TOLERANCE = 3e-5
HEALTH = (HealthCheck.filter_too_much, HealthCheck.too_slow)


class Around(nn.Module):
    """A case between parameters of its own: `offset` sees the gradient of every element, summed over the batch.

    What the case gives is scaled to 1: with large logits the softmax saturates, and float32 has no digits left of it.
    """

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.rand(1, *case.shape) + 0.5)
        self.offset = nn.Parameter(torch.randn(1, *case.shape))
        self.case = case.function
        with torch.no_grad():
            values = case.function(self.offset).flatten(1)
        self.share = 1 / max(1.0, float(values.abs().max()))
        self.after = nn.Linear(values.shape[1], CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """Logits."""
        values = self.case(image * self.scale + self.offset).flatten(1)
        logits: Tensor = self.after(values * self.share)
        return logits


@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_equal_torchs_for_random_cases(name: str) -> None:
    family, seen = FAMILIES[name], set[str]()
    for cases in family.variants.values():
        seen |= check_random(cases, family.examples)
    assert seen >= promised(family)


def check_random(cases: SearchStrategy[Case], examples: int) -> set[str]:
    """Compares random cases with torch; returns the operators of their graphs."""
    seen: set[str] = set()

    # Derandomized: a failure in CI is the same on every machine.
    @settings(max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=HEALTH)
    @given(case=cases, batch=st.integers(1, 3), seed=st.integers(0, 1000))
    def holds(case: Case, batch: int, seed: int) -> None:
        seen.update(check(case, batch, seed))

    # Parameters are drawn by torch while hypothesis draws the shapes.
    torch.manual_seed(0)
    holds()
    return seen


def promised(family: Family) -> set[str]:
    """The operators that the cases of a family have to contain."""
    return {*family.operators, *family.rules}


def check(case: Case, batch: int, seed: int) -> set[str]:
    """Compares one case with torch; returns the operators of its forward and its training graph."""
    torch.manual_seed(seed)
    image = np.random.default_rng(seed).normal(size=(batch, *case.shape)).astype(np.float32)
    label = np.arange(batch, dtype=np.int64) % CLASSES
    module = Around(case)
    with tempfile.TemporaryDirectory() as folder:
        lowered = by_lowering(module, image, label, Path(folder))
        graphs = [onnx.load(Path(folder) / name) for name in ("export/forward.onnx", "artifacts/training_model.onnx")]
    assert_same(lowered, by_torch(module, image, label), TOLERANCE)
    return {node.op_type for graph in graphs for node in graph.graph.node}
