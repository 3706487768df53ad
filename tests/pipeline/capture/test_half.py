"""Frozen weights stored in float16: half the size, and the same numbers on the host and in the package."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from device_runtime.engines.lowered import LoweredEngine
from device_runtime.formats.checkpoint import read_checkpoint, untrained_name
from device_runtime.formats.model import read_model
from device_runtime.formats.sample import one_class, picture
from pipeline.capture.export import export
from pipeline.capture.half import round_weights, store_half
from pipeline.capture.preprocess import after_preprocessing
from pipeline.errors import ModelError, UsageError
from pipeline.lowering.model_folder import build_model_folder
from pipeline.recipe import Preprocessing, Recipe
from pipeline.sources.model_source import find_model

PIXELS = picture(8, 8, 3)
RECIPE = Recipe(Preprocessing(8, 8), trainable=("head.*",))

NETWORK = """
from torch import nn

class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(512, 4)

    def forward(self, image):
        return self.head(self.body(image))

def network():
    return Network()
"""


def build(recipe: Recipe, folder: Path) -> Path:
    """export/ and model/ of the network."""
    folder.mkdir()
    (folder / "net.py").write_text(NETWORK)
    export(find_model(f"{folder / 'net.py'}:network"), recipe, PIXELS, one_class(4), 1, folder / "export")
    build_model_folder("net", recipe, PIXELS, one_class(4), folder / "export", None, folder / "model")
    return folder


def run(path: Path | bytes, output: str, image: np.ndarray) -> np.ndarray:
    source = path if isinstance(path, bytes) else str(path)
    session = ort.InferenceSession(source, providers=["CPUExecutionProvider"])
    return np.asarray(session.run([output], {"image": image})[0])


def test_a_frozen_backbone_has_half_the_size_and_the_numbers_of_the_host(tmp_path: Path) -> None:
    whole = build(RECIPE, tmp_path / "whole")
    half = build(replace(RECIPE, frozen_dtype="float16"), tmp_path / "half")
    sizes = [(folder / "model" / "features.onnx").stat().st_size for folder in (half, whole)]
    assert sizes[0] < 0.6 * sizes[1]
    image = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)
    host = after_preprocessing(
        onnx.load(half / "export" / "preprocess.onnx"), onnx.load(half / "export" / "backbone.onnx")
    )
    expected = run(host.SerializeToString(), "features", image)
    np.testing.assert_array_equal(run(half / "model" / "features.onnx", "features", image), expected)
    # Rounding moves the features a little: what was stored is not what was exported in float32.
    original = run(whole / "model" / "features.onnx", "features", image)
    assert 0 < np.abs(expected - original).max() < 1e-2 * np.abs(original).max()


def test_frozen_weights_inside_the_train_step(tmp_path: Path) -> None:
    """Where frozen and trained layers alternate, nothing is cut off: single steps and sunk ones read the same."""
    folder = build(replace(RECIPE, trainable=("body.0.*", "head.*"), frozen_dtype="float16"), tmp_path / "net")
    step = onnx.load(folder / "model" / "train_step.onnx", load_external_data=False)
    stored = {t.name: t for t in step.graph.initializer}
    assert stored["body.2.weight/float16"].data_type == TensorProto.FLOAT16
    # Once, for all steps.
    assert (folder / "model" / "frozen.bin").stat().st_size == 2 * 32 * 32 * 9
    assert stored["body.2.weight/float16"].external_data[0].value == "frozen.bin"
    model = read_model(folder / "model")
    untrained = folder / "model" / untrained_name(model)
    single, sunk = (LoweredEngine(untrained.parent, model, read_checkpoint(untrained, model), 5, 1) for _ in range(2))
    random = np.random.default_rng(0)
    batches = [(random.integers(0, 256, (5, 8, 8, 3), np.uint8), random.integers(0, 4, 5)) for _ in range(4)]
    expected = [single.train_step(*batch, 0.01, step) for step, batch in enumerate(batches, 1)]
    np.testing.assert_allclose(sunk.train_steps(batches, [0.01] * 4, 1), expected, rtol=1e-6)


def test_a_weight_too_large_is_named() -> None:
    tensor = numpy_helper.from_array(np.full((2, 2), 1e5, np.float32), "body.weight")
    model = helper.make_model(helper.make_graph([], "g", [], [], [tensor]))
    with pytest.raises(ModelError, match=r"body\.weight has values of up to 1e\+05.*leave --frozen-dtype at float32"):
        round_weights(model, {"body.weight"})


def test_what_float16_does_not_hold_stays_as_it_is() -> None:
    values = {"exact": np.eye(4, dtype=np.float32), "inexact": np.full((4, 4), 0.1, np.float32)}
    tensors = [numpy_helper.from_array(value, name) for name, value in values.items()]
    model = helper.make_model(helper.make_graph([], "g", [], [], tensors))
    store_half(model)
    assert {t.name: t.data_type for t in model.graph.initializer} == {
        "exact/float16": TensorProto.FLOAT16,
        "inexact": TensorProto.FLOAT,
    }


def test_an_unknown_dtype_is_named() -> None:
    with pytest.raises(UsageError, match="--frozen-dtype int4: give one of float32, float16, int8"):
        Recipe(Preprocessing(8, 8), frozen_dtype="int4")  # type: ignore[arg-type]
