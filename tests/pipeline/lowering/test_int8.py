"""A frozen backbone in int8: near float32's features, and in the trained model as it was trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto

from device_runtime.formats.checkpoint import untrained_name
from device_runtime.formats.model import read_model
from device_runtime.formats.sample import picture
from pipeline.errors import UsageError
from pipeline.files import read_record
from pipeline.graphs.sessions import open_session
from pipeline.lowering.inference import write_inference_model
from pipeline.lowering.int8 import FEATURES_FILE, RECORD, Quantised, line_of, quantise_backbone
from pipeline.recipe import Preprocessing, Recipe
from tests.device_runtime.small_model import write_images
from tests.pipeline import stages

PIXELS, CLASSES = picture(16, 16, 1), 3
RECIPE = Recipe(Preprocessing(16, 16), trainable=("head.*",), frozen_dtype="int8")

# Its first channel is dead: the weights are nothing beside the bias, as batch normalisation folds them.
NETWORK = """
import torch
from torch import nn

class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 64, 3), nn.ReLU6(), nn.Conv2d(64, 64, 3, bias=False), nn.BatchNorm2d(64), nn.Hardswish(),
            nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        )
        self.head = nn.Linear(256, 3)
        with torch.no_grad():
            self.body[0].weight[0], self.body[0].bias[0] = 1e-12, 0.75

    def forward(self, image):
        return self.head(self.body(image))

def network():
    return Network()
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """export/, model/, dataset/ and int8/."""
    folder = tmp_path_factory.mktemp("int8")
    stages.build(stages.module_of(NETWORK, folder), RECIPE, PIXELS, CLASSES, folder)
    write_images(folder / "dataset", {"train": 40, "test": 4}, side=16)
    quantise_backbone(folder / "model", folder / "dataset", folder / "int8")
    return folder


def run(file: Path, output: str, image: np.ndarray) -> np.ndarray:
    return np.asarray(open_session(file).run([output], {"image": image})[0])


def images() -> np.ndarray:
    """Of the dataset's kind."""
    return np.random.default_rng(9).integers(0, 210, (8, 16, 16, 1), np.uint8)


def test_features_are_near_those_in_float32_and_the_line_says_how_near(place: Path) -> None:
    found = read_record(place / "int8" / RECORD, Quantised)
    assert found is not None
    assert 0 < found.difference < 0.05
    assert line_of(place / "int8") == (
        f"int8 backbone: its features differ from float32's by {found.difference:.1%} ({found.images} images)"
    )
    whole, quantised = (run(place / part / FEATURES_FILE, "features", images()) for part in ("model", "int8"))
    assert 0 < np.linalg.norm(whole - quantised) < 0.05 * np.linalg.norm(whole)


def test_weights_are_int8_channel_by_channel(place: Path) -> None:
    tensors = {t.name: t for t in onnx.load(place / "int8" / FEATURES_FILE).graph.initializer}
    weights = [t for t in tensors.values() if len(t.dims) == 4]
    assert len(weights) == 2
    for tensor in weights:
        assert tensor.data_type == TensorProto.INT8
        assert tensors[tensor.name.replace("_quantized", "_scale")].dims == tensor.dims[:1]
    sizes = [(place / part / FEATURES_FILE).stat().st_size for part in ("int8", "model")]
    assert sizes[0] < 0.5 * sizes[1]


def test_a_channel_without_weights_keeps_its_bias(place: Path) -> None:
    model = onnx.load(place / "int8" / FEATURES_FILE)
    first = next(node for node in model.graph.node if node.op_type == "Conv").output[0]
    model.graph.output.append(onnx.ValueInfoProto(name=first))
    options = ort.SessionOptions()
    # Fused, it would give no such value.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    (value,) = session.run([first], {"image": images()})
    np.testing.assert_allclose(value[:, 0], 0.75, rtol=0.01)


def test_everything_else_of_the_model_folder_is_there(place: Path) -> None:
    names = {path.name for path in (place / "model").iterdir()}
    assert {path.name for path in (place / "int8").iterdir()} == names | {RECORD}


def test_the_trained_model_has_the_backbone_that_it_was_trained_on(place: Path, tmp_path: Path) -> None:
    folder = place / "int8"
    file = tmp_path / "trained.onnx"
    model = read_model(folder)
    write_inference_model(place / "export", folder, folder / untrained_name(model), file)
    start = stages.untrained(folder)
    features = run(folder / FEATURES_FILE, "features", images())
    weight, bias = start.parameters[:-3].reshape(3, 256), start.parameters[-3:]
    np.testing.assert_allclose(run(file, "logits", images()), features @ weight.T + bias, rtol=1e-4, atol=1e-5)


def test_without_a_backbone_before_what_trains_it_is_refused(tmp_path: Path) -> None:
    recipe = replace(RECIPE, trainable=("body.0.*", "head.*"))
    stages.build_unchecked(stages.module_of(NETWORK, tmp_path), recipe, PIXELS, CLASSES, tmp_path)
    with pytest.raises(UsageError, match=r"--frozen-dtype int8 quantises a frozen backbone.*or give float16"):
        quantise_backbone(tmp_path / "model", tmp_path / "dataset", tmp_path / "int8")
    assert not (tmp_path / "int8").exists()
