"""The losses give torch's values and gradients."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from torch import nn

from pipeline.artifacts import build_artifacts
from pipeline.errors import LoweringError
from pipeline.export import OPSET
from pipeline.lowering.step import build_eval_step, build_train_step, network_of
from pipeline.preprocess import build_preprocessing
from pipeline.recipe import Loss, Optimizer, Pixels, Preprocessing, Recipe
from pipeline.rewrite import load_differentiable
from tests.pipeline.lowering.harness import (
    Array,
    Gradients,
    Labels,
    assert_same,
    by_lowering,
    by_torch,
    export_module,
    run_lowered,
)

CLASSES = 3
LOSSES: tuple[Loss, ...] = ("cross_entropy", "mean_squared_error", "binary_cross_entropy")


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_equal_torchs(loss: Loss) -> None:
    @settings(max_examples=10, deadline=None, derandomize=True, database=None)
    @given(batch=st.integers(1, 5), width=st.integers(1, 6), classes=st.integers(2, 5), seed=st.integers(0, 1000))
    def holds(batch: int, width: int, classes: int, seed: int) -> None:
        module, image, label = drawn(batch, width, classes, seed)
        target: Array | Labels = label if loss == "cross_entropy" else np.eye(classes, dtype=np.float32)[label]
        with tempfile.TemporaryDirectory() as folder:
            lowered = by_lowering(module, image, target, Path(folder), loss)
        assert_same(lowered, by_torch(module, image, target, loss))

    holds()


def test_cross_entropy_can_be_summed_over_the_batch(tmp_path: Path) -> None:
    module, image, label = drawn(4, 5, 3, 0)
    lowered = by_cross_entropy(module, image, label, tmp_path, reduction=b"sum")
    mean = by_torch(module, image, label)
    assert_same(lowered, Gradients(mean.loss * 4, {name: g * 4 for name, g in mean.by_name.items()}))


def test_an_ignored_label_is_refused(tmp_path: Path) -> None:
    module, image, label = drawn(4, 5, 3, 0)
    with pytest.raises(LoweringError, match=r"SoftmaxCrossEntropyLoss .* class weights, ignore_index"):
        by_cross_entropy(module, image, label, tmp_path, ignore_index=1)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_steps_take_labels_for_every_loss(loss: Loss, tmp_path: Path) -> None:
    module, pixels = nn.Sequential(nn.Flatten(), nn.Linear(12, CLASSES)), Pixels(3, 4, 1)
    forward = export_module(module, torch.zeros(2, 1, 3, 4), tmp_path)
    build_artifacts(tmp_path, Recipe(Preprocessing(3, 4), loss=loss), tmp_path / "artifacts")
    training, evaluation = (onnx.load(tmp_path / "artifacts" / f"{name}_model.onnx") for name in ("training", "eval"))
    preprocess = build_preprocessing(pixels, Preprocessing(3, 4), OPSET)
    network = network_of(training, evaluation, preprocess, forward, ["1.weight", "1.bias"])
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 1), np.uint8)
    label = np.arange(5) % CLASSES
    target = label if loss == "cross_entropy" else np.eye(CLASSES, dtype=np.float32)[label]
    scaled = (images.transpose(0, 3, 1, 2) / 255).astype(np.float32)
    expected = by_torch(module, scaled, target, loss)
    parameters = np.concatenate([array.detach().numpy().ravel() for array in module.parameters()])
    feeds = {"image": images, "label": label, "parameters": parameters}
    update = {"learning_rate": np.array(1, np.float32), "step": np.array(1)}
    train = ort.InferenceSession(build_train_step(network, Optimizer("sgd")).SerializeToString())
    trained = train.run(["loss", "parameters_out"], feeds | update)
    evaluated = ort.InferenceSession(build_eval_step(network, CLASSES).SerializeToString()).run(["loss"], feeds)
    gradient = np.concatenate([array.ravel() for array in expected.by_name.values()])
    np.testing.assert_allclose([trained[0], evaluated[0]], expected.loss, rtol=1e-5)
    np.testing.assert_allclose(trained[1], parameters - gradient, rtol=1e-4, atol=1e-6)


def drawn(batch: int, width: int, classes: int, seed: int) -> tuple[nn.Module, Array, Labels]:
    """A module, its images and their labels."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    module = nn.Sequential(nn.Linear(width, 4), nn.Tanh(), nn.Linear(4, classes))
    return module, random.normal(size=(batch, width)).astype(np.float32), random.integers(0, classes, batch)


def by_cross_entropy(
    module: nn.Module, image: Array, label: Labels, folder: Path, **attributes: bytes | int
) -> Gradients:
    """Lowers the artifacts with other attributes of the loss than the artifacts stage sets."""
    export = folder / "export"
    export.mkdir()
    export_module(module, torch.from_numpy(image), export)
    build_artifacts(export, Recipe(Preprocessing(1, 1)), folder / "artifacts")
    training = onnx.load(folder / "artifacts" / "training_model.onnx")
    for node in training.graph.node:
        if node.op_type.startswith("SoftmaxCrossEntropyLoss"):
            kept = [attribute for attribute in node.attribute if attribute.name not in attributes]
            del node.attribute[:]
            node.attribute.extend([*kept, *(helper.make_attribute(name, value) for name, value in attributes.items())])
    return run_lowered(training, load_differentiable(export), image, label)
