"""Every value of a forward graph has its size where the batch does not change it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.capture.shapes import with_shapes
from pipeline.errors import ModelError
from pipeline.graphs.reading import shapes_of
from tests.pipeline.lowering.harness import export_module


class Computed(nn.Module):
    """Shapes that the exporter writes as computations."""

    def forward(self, image: Tensor) -> Tensor:
        """Logits."""
        larger = functional.interpolate(functional.normalize(image), size=(7, 9))
        return larger.flatten(0, 1).view(image.shape[0], -1)


def test_computed_shapes_are_static_but_for_the_batch(tmp_path: Path) -> None:
    forward = export_module(Computed(), torch.zeros(2, 3, 4, 6), tmp_path)
    shapes = {name: shape for name, shape in shapes_of(with_shapes(forward)).items() if "N" in str(shape)}
    assert ("N", 3, 4, 6) in shapes.values()
    assert ("N", 3, 7, 9) in shapes.values()
    assert ("3N", 7, 9) in shapes.values()
    assert shapes["logits"] == ("N", 189)


class Fixed(nn.Module):
    """A module that takes one batch size only."""

    def forward(self, image: Tensor) -> Tensor:
        """Logits."""
        return image.reshape(2, 3) + 1


def test_a_model_of_one_batch_size_is_refused(tmp_path: Path) -> None:
    forward = export_module(Fixed(), torch.zeros(2, 3), tmp_path)
    with pytest.raises(ModelError, match=r"does not run with a batch of 3: .*Reshape"):
        with_shapes(forward)
