"""The check as a stage, and with networks that are what they say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from device_runtime.formats.manifest import FILE_NAME as MANIFEST
from device_runtime.formats.manifest import read_manifest
from device_runtime.formats.sample import picture
from pipeline.bench.networks import NETWORKS as BENCHED
from pipeline.checking.calm import calmed
from pipeline.checking.check import FILE_NAME, line_of
from pipeline.checking.differences import Measured
from pipeline.checking.images import regrouped
from pipeline.checking.observed import Batch
from pipeline.errors import ModelError
from pipeline.lowering.rules.randomness import NORMAL, UNIFORM
from pipeline.sources.model_source import find_model, recipe_of
from tests.invoking import invoke
from tests.pipeline import stages

CLASSES = 10


# tests/test_networks.py trains three of the others; Tiny is a wider Atto.
@pytest.mark.parametrize(
    "name", sorted(BENCHED.keys() - {"resnet18", "mobilenet_v2", "mobilenet_v3_small", "convnext_tiny"})
)
def test_the_measured_networks_are_torchs(name: str, tmp_path: Path) -> None:
    network = BENCHED[name]
    pixels = network.pixels or (picture(64, 64, 3) if network.everyday else picture(28, 28, 1))
    source = find_model(network.model)
    recipe = recipe_of(source, pixels)
    stages.build_unchecked(source, recipe, pixels, CLASSES, tmp_path)
    measured = stages.check(source, recipe, pixels, CLASSES, tmp_path)
    assert max(measured.largest[kind] for kind in ("logits", "loss", "gradients")) < 1e-3


def test_frozen_weights_in_half_are_compared_as_they_are_stored(tmp_path: Path) -> None:
    text = "from torch import nn\ndef network():\n    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), "
    source = stages.module_of(text + "nn.ReLU(), nn.Flatten(), nn.Linear(64, 10))\n", tmp_path)
    pixels = picture(6, 6, 1)
    recipe = replace(recipe_of(source, pixels), trainable=("4.*",), frozen_dtype="float16")
    stages.build_unchecked(source, recipe, pixels, CLASSES, tmp_path)
    assert stages.check(source, recipe, pixels, CLASSES, tmp_path).largest["logits"] < 1e-5


def test_a_package_is_checked_once_and_carries_nothing_of_it(build: Path) -> None:
    folder = build / "lenet" / "check"
    written = (folder / FILE_NAME).stat().st_mtime_ns
    again = invoke("package", "--build", build)
    assert again.code == 0, again.stderr
    assert line_of(folder) in again.stderr
    assert (folder / FILE_NAME).stat().st_mtime_ns == written
    assert len(set(json.loads((folder / FILE_NAME).read_text())["batches"])) == 2
    assert not [file for file in read_manifest(build / "package-x86" / MANIFEST).files if file.path.endswith(FILE_NAME)]


def wrong_module(folder: Path) -> str:
    """A module that does otherwise when it is run once more: no graph is like it."""
    text = "import itertools\nfrom torch import nn\n\ncalls = itertools.count()\n\nclass Net(nn.Sequential):\n"
    text += "    def forward(self, x):\n        return super().forward(x + next(calls))\n\n"
    (folder / "own.py").write_text(text + "def network():\n    return Net(nn.Flatten(), nn.Linear(784, 10))\n")
    return f"{folder / 'own.py'}:network"


def test_what_does_not_differ_at_all_is_told_as_nothing(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(json.dumps({"against": "torch", "differences": {"logits": 5.2e-7, "loss": 0.0}}))
    assert line_of(tmp_path) == "checked against torch: logits 5e-7, loss 0"


def test_a_wrong_model_is_not_packaged_but_where_the_check_is_left_out(tmp_path: Path) -> None:
    words = ("package", "--build", tmp_path / "build", "--model", wrong_module(tmp_path))
    refused = invoke(*words)
    assert refused.code == ModelError.exit_code
    assert refused.stderr.splitlines()[-1].startswith("error: the model gives another result each time")
    assert not (tmp_path / "build" / "package-x86").exists()
    allowed = invoke(*words, "--no-check")
    assert allowed.code == 0, allowed.stderr
    assert "checked against" not in allowed.stderr


def write_file(folder: Path) -> Path:
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(64, 10))
    path = folder / "net.onnx"
    example = (torch.zeros(1, 1, 6, 6),)
    axes = {"x": {0: "N"}}
    torch.onnx.export(module, example, str(path), dynamo=False, opset_version=17, input_names=["x"], dynamic_axes=axes)
    return path


def test_a_file_is_compared_with_itself_in_the_runtime(tmp_path: Path) -> None:
    source, pixels = find_model(str(write_file(tmp_path))), picture(6, 6, 1)
    recipe = recipe_of(source, pixels)
    stages.build_unchecked(source, recipe, pixels, CLASSES, tmp_path)
    assert stages.check(source, recipe, pixels, CLASSES, tmp_path).largest["logits"] < 1e-5


def test_a_file_that_was_lowered_to_something_else_is_refused(tmp_path: Path) -> None:
    path, pixels = write_file(tmp_path), picture(6, 6, 1)
    source = find_model(str(path))
    recipe = recipe_of(source, pixels)
    stages.build_unchecked(source, recipe, pixels, CLASSES, tmp_path)
    model = onnx.load(path)
    bias = next(tensor for tensor in model.graph.initializer if list(tensor.dims) == [10])
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + 1, bias.name))
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"is not that of .*net\.onnx: evaluation's logits differ"):
        stages.check(source, recipe, pixels, CLASSES, tmp_path)


def test_nothing_is_random_while_torch_is_calm_and_its_generator_goes_on_as_before() -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    x = torch.ones(2, 4, 3, 3)
    with calmed():
        assert torch.equal(torch.rand(2), torch.full((2,), UNIFORM))
        assert torch.equal(torch.empty(2).normal_(1.0, std=2.0), torch.full((2,), 1 + 2 * NORMAL))
        for dropout in (torch.nn.Dropout(0.5), torch.nn.Dropout2d(0.5)):
            assert torch.equal(dropout(x), 2 * x)
    assert torch.equal(torch.rand(3), expected)


def test_a_number_on_one_side_alone_is_a_difference() -> None:
    whole, broken = np.ones(3, np.float32), np.array([1, np.nan, 1], np.float32)
    assert not Measured().fits("gradients", "x", broken, whole, lambda: whole)
    assert not Measured().fits("gradients", "x", whole, broken, lambda: whole)
    assert Measured().fits("gradients", "x", broken, broken, lambda: None)


def test_images_are_grouped_otherwise_in_batches_of_the_same_sizes() -> None:
    numbers = np.arange(7)
    batches = [
        Batch(part[:, None].astype(np.uint8), part[:, None].astype(np.float32), part)
        for part in (numbers[:4], numbers[4:])
    ]
    others = regrouped(batches, 3)
    assert [batch.label.tolist() for batch in others] == [[4, 5, 6, 0], [1, 2, 3]]
    assert all(np.array_equal(batch.image[:, 0], batch.label) for batch in others)


def test_rounding_is_told_from_an_error_by_double_precision() -> None:
    exact = np.zeros(3)
    ours, torchs = np.full(3, 2e-9, np.float32), np.full(3, -1e-9, np.float32)
    assert Measured().fits("gradients", "x", ours, torchs, lambda: exact)
    assert not Measured().fits("gradients", "x", 100 * ours, torchs, lambda: exact)
