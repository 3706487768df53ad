"""onnxruntime-training's own loss operator: its sum over the batch, and what of it is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from torch import nn

from pipeline.capture.onnx.artifacts import build_artifacts
from pipeline.capture.onnx.rewrite import load_differentiable
from pipeline.errors import LoweringError
from tests.pipeline.lowering.harness import (
    RECIPE,
    Gradients,
    assert_same,
    by_torch,
    export_module,
    run_lowered,
)

CLASSES = 3
LABEL = np.arange(4) % CLASSES
IMAGE = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)


def test_it_can_be_summed_over_the_batch(tmp_path: Path) -> None:
    module = nn.Linear(5, CLASSES)
    lowered = _lowered(module, tmp_path, reduction=b"sum")
    mean = by_torch(module, IMAGE, LABEL)
    assert_same(lowered, Gradients(mean.loss * 4, {name: g * 4 for name, g in mean.by_name.items()}))


@pytest.mark.parametrize("attribute", [{"ignore_index": 1}, {"reduction": b"none"}], ids=str)
def test_what_would_be_ignored_in_silence_is_refused(attribute: dict[str, bytes | int], tmp_path: Path) -> None:
    with pytest.raises(LoweringError, match=r"SoftmaxCrossEntropyLoss .* class weights, ignore_index"):
        _lowered(nn.Linear(5, CLASSES), tmp_path, **attribute)


def _lowered(module: nn.Module, folder: Path, **attributes: bytes | int) -> Gradients:
    """Lowers the artifacts with other attributes of the loss than the artifacts stage sets."""
    export_module(module, torch.from_numpy(IMAGE), folder)
    build_artifacts(folder, RECIPE, CLASSES, folder / "artifacts")
    training = onnx.load(folder / "artifacts" / "training_model.onnx")
    for node in training.graph.node:
        if node.op_type.startswith("SoftmaxCrossEntropyLoss"):
            kept = [attribute for attribute in node.attribute if attribute.name not in attributes]
            del node.attribute[:]
            node.attribute.extend([*kept, *(helper.make_attribute(name, value) for name, value in attributes.items())])
    return run_lowered(training, load_differentiable(folder), IMAGE, LABEL)
