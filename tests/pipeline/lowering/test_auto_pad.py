"""Models of other exporters name their padding SAME_UPPER or SAME_LOWER instead of giving it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from torch import Tensor, nn
from torch.nn import functional

from pipeline.capture.onnx.artifacts import build_artifacts
from pipeline.capture.onnx.rewrite import load_differentiable
from tests.pipeline.lowering.harness import RECIPE, assert_same, by_torch, export_module, run_lowered

LAYERS: dict[str, nn.Module] = {
    "convolution": nn.Conv2d(2, 3, (2, 4), stride=(1, 3)),
    # Padding counts: it is zeros, as those of the Pad that it stands for.
    "average pooling": nn.AvgPool2d((2, 4), (1, 3)),
    # Without its padding the windows would tile the convolution's output, which would then be fused.
    "convolution and max pooling": nn.Sequential(nn.Conv2d(2, 3, (2, 3)), nn.ReLU(), nn.MaxPool2d((1, 2))),
}


class Padded(nn.Module):
    """A layer behind its padding: for an input of 6×8, one row and three columns."""

    def __init__(self, layer: nn.Module, upper: bool) -> None:
        super().__init__()
        self.before = nn.Conv2d(2, 2, 1)
        self.layer = layer
        self.upper = upper
        self.after = nn.LazyLinear(4)
        self(torch.zeros(1, 2, 6, 8))

    def forward(self, image: Tensor) -> Tensor:
        """Logits."""
        small, large = (0, 1) if self.upper else (1, 0)
        padded = functional.pad(self.before(image), (1, 1, small, large))
        logits: Tensor = self.after(self.layer(padded).flatten(1))
        return logits


@pytest.mark.parametrize("upper", [True, False], ids=["upper", "lower"])
@pytest.mark.parametrize("name", LAYERS)
def test_named_padding_is_resolved(name: str, upper: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Padded(LAYERS[name], upper)
    image = np.random.default_rng(0).normal(size=(2, 2, 6, 8)).astype(np.float32)
    label = np.arange(2)
    forward = export_module(module, torch.from_numpy(image), tmp_path)
    _name_padding(forward, b"SAME_UPPER" if upper else b"SAME_LOWER")
    onnx.save(forward, tmp_path / "forward.onnx")
    build_artifacts(tmp_path, RECIPE, 4, tmp_path / "artifacts")
    training = onnx.load(tmp_path / "artifacts" / "training_model.onnx")
    lowered = run_lowered(training, load_differentiable(tmp_path), image, label)
    assert_same(lowered, by_torch(module, image, label))


def _name_padding(forward: onnx.ModelProto, padding: bytes) -> None:
    """Leaves the Pad out, and names the padding in the layer behind it."""
    (pad,) = (node for node in forward.graph.node if node.op_type == "Pad")
    (layer,) = (node for node in forward.graph.node if pad.output[0] in node.input)
    layer.input[0] = pad.input[0]
    kept = [attribute for attribute in layer.attribute if attribute.name not in ("pads", "auto_pad")]
    del layer.attribute[:]
    layer.attribute.extend([*kept, helper.make_attribute("auto_pad", padding)])
    forward.graph.node.remove(pad)
