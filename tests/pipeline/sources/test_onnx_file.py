"""An ONNX file as the backbone under a new head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from device_runtime.formats.model import read_model
from device_runtime.formats.sample import one_class, picture
from pipeline.capture.export import export
from pipeline.errors import ModelError, UsageError
from pipeline.graphs.inference_mode import trains
from pipeline.recipe import Optimizer, Preprocessing
from pipeline.sources.model_source import find_model, recipe_of
from pipeline.sources.onnx_file import files_of
from tests.pipeline import stages

CLASSES, SIDE = 4, 24
PIXELS = picture(32, 32, 3)


def small(*last: nn.Module) -> nn.Sequential:
    """A backbone whose batch normalisation has statistics of its own."""
    torch.manual_seed(5)
    norm = nn.BatchNorm2d(6)
    norm.running_mean, norm.running_var = torch.randn(6), torch.rand(6) + 0.5
    return nn.Sequential(nn.Conv2d(3, 6, 2, stride=2), norm, nn.Hardswish(), nn.AdaptiveAvgPool2d(2), *last)


def write(path: Path, module: nn.Module, opset: int = 15, dynamic: bool = True) -> Path:
    torch.onnx.export(
        module.eval(),
        (torch.zeros(1, 3, SIDE, SIDE),),
        str(path),
        dynamo=False,
        opset_version=opset,
        input_names=["x"],
        # The names of the split's and of the head's own values must not disturb.
        output_names=["features"],
        dynamic_axes={"x": {0: "batch"}} if dynamic else None,
    )
    return path


def build(path: Path, folder: Path) -> Path:
    """Every stage up to the model folder; returns it."""
    source = find_model("transfer", backbone=str(path))
    return stages.build(source, recipe_of(source, PIXELS), PIXELS, CLASSES, folder)


def prepared(pixels: np.ndarray) -> torch.Tensor:
    """What the graph makes of uint8 pixels: a bilinear resize without antialiasing."""
    image = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 127) / 128
    return nn.functional.interpolate(image, (SIDE, SIDE), mode="bilinear")


NORMALISED = nn.Sequential(nn.Flatten(), nn.LayerNorm(24))


@pytest.mark.parametrize(
    ("last", "opset"),
    [(nn.Flatten(), 11), (nn.Flatten(), 15), (nn.Flatten(), 17), (nn.Flatten(), 20), (NORMALISED, 17)],
    ids=["opset 11", "opset 15", "opset 17", "opset 20", "layer normalisation"],
)
def test_the_head_trains_on_what_torch_gives(last: nn.Module, opset: int, tmp_path: Path) -> None:
    module = small(last)
    folder = build(write(tmp_path / "small.onnx", module, opset), tmp_path)
    model = read_model(folder)
    assert [parameter.name for parameter in model.parameters] == ["head.weight", "head.bias"]
    pixels = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    session = ort.InferenceSession(str(folder / "features.onnx"), providers=["CPUExecutionProvider"])
    (features,) = session.run(["features"], {"image": pixels})
    with torch.no_grad():
        np.testing.assert_allclose(features, module(prepared(pixels)).numpy(), atol=1e-4)
    engine = stages.open_engine(folder, 8)
    label = np.arange(8) % CLASSES
    losses = [engine.train_step(features, label, 0.1, step) for step in range(1, 60)]
    assert losses[-1] < losses[0]


def test_a_backbone_that_leaves_its_sizes_open_gets_images_of_224(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 6, 2, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(0))
    path = tmp_path / "small.onnx"
    torch.onnx.export(
        nn.Sequential(module, nn.Unflatten(0, (-1, 6))),
        (torch.zeros(1, 3, 8, 8),),
        str(path),
        dynamo=False,
        input_names=["x"],
        dynamic_axes={"x": {0: "batch", 2: "height", 3: "width"}},
    )
    folder = build(path, tmp_path)
    assert read_model(folder).features == (6,)
    sizes = [
        dim.dim_value
        for dim in onnx.load(tmp_path / "export" / "backbone.onnx").graph.input[0].type.tensor_type.shape.dim
    ]
    assert sizes[1:] == [3, 224, 224]


def test_the_heads_weights_are_drawn_by_the_seed(tmp_path: Path) -> None:
    source = find_model("transfer", backbone=str(write(tmp_path / "small.onnx", small(nn.Flatten()))))

    def head(seed: int) -> dict[str, np.ndarray]:
        export(source, recipe_of(source, PIXELS), PIXELS, one_class(CLASSES), seed, tmp_path / "export")
        tensors = onnx.load(tmp_path / "export" / "trained.onnx").graph.initializer
        return {tensor.name: numpy_helper.to_array(tensor) for tensor in tensors}

    first, again, other = head(1), head(1), head(2)
    assert np.array_equal(first["head.weight"], again["head.weight"])
    assert not np.array_equal(first["head.weight"], other["head.weight"])
    assert 0.07 < first["head.weight"].std() < 0.13
    assert not first["head.bias"].any()


def _not_onnx(path: Path) -> None:
    path.write_text("hello")


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "feature maps": (lambda path: write(path, small()), "has to give N×F; pool and flatten its output"),
    "a fixed batch": (
        lambda path: write(path, small(nn.Unflatten(1, (3, 2)), nn.Flatten(0, 1), nn.Flatten()), dynamic=False),
        "gives 6×8 numbers for two images: a backbone has to give N×F",
    ),
    "grey images": (
        lambda path: torch.onnx.export(nn.Flatten(), (torch.zeros(1, 1, 8, 8),), str(path), dynamo=False),
        "takes an input of shape 1×1×8×8, the dataset's images are N×3×32×32",
    ),
    "no ONNX": (_not_onnx, "is not a valid ONNX model"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_backbone_is_refused(name: str, tmp_path: Path) -> None:
    prepare, message = REFUSED[name]
    prepare(tmp_path / "model.onnx")
    with pytest.raises(ModelError) as caught:
        build(tmp_path / "model.onnx", tmp_path)
    assert message in str(caught.value)
    assert str(tmp_path / "model.onnx") in str(caught.value)
    assert "\n" not in str(caught.value)


def write_beyond_opset_17(path: Path) -> Path:
    """A model with an operator that opset 17 has no form of; it does nothing."""
    model = onnx.load(write(path, small(nn.Flatten()), opset=20))
    pool = onnx.helper.make_node("AveragePool", ["x"], ["pooled"], "pool", kernel_shape=[1, 1], dilations=[2, 2])
    model.graph.node[0].input[0] = "pooled"
    model.graph.node.insert(0, pool)
    onnx.save(model, path)
    return path


def test_a_backbone_of_an_opset_that_cannot_be_converted_stays_frozen(tmp_path: Path) -> None:
    source = find_model("transfer", backbone=str(write_beyond_opset_17(tmp_path / "model.onnx")))
    with pytest.raises(ModelError, match="is of opset 20, in which it can only stay frozen"):
        export(
            source,
            replace(recipe_of(source, PIXELS), trainable=("*",)),
            PIXELS,
            one_class(CLASSES),
            1,
            tmp_path / "export",
        )
    assert not (tmp_path / "export").exists()
    assert [parameter.name for parameter in read_model(build(tmp_path / "model.onnx", tmp_path)).parameters] == [
        *("head.weight", "head.bias")
    ]


def test_a_whole_model_of_an_opset_that_cannot_be_converted_is_refused(tmp_path: Path) -> None:
    source = find_model(str(write_beyond_opset_17(tmp_path / "model.onnx")))
    message = (
        r"model.onnx is of opset 20, of which opset 17 has no AveragePool \(node 'pool'\) with dilations: export it"
    )
    with pytest.raises(ModelError, match=message):
        export(source, recipe_of(source, PIXELS), PIXELS, one_class(CLASSES), 1, tmp_path / "export")


@pytest.mark.parametrize("opset", [17, 20])
def test_a_whole_model_of_a_later_opset_trains_as_in_torch(opset: int, tmp_path: Path) -> None:
    torch.manual_seed(5)
    layers = (nn.Conv2d(3, 6, 2, stride=2), nn.GroupNorm(3, 6), nn.Mish(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
    module = nn.Sequential(*layers, nn.LayerNorm(24), nn.GELU(), nn.Linear(24, CLASSES))
    source = find_model(str(write(tmp_path / "whole.onnx", module, opset)))
    preprocessing = Preprocessing(SIDE, SIDE, scale=1 / 128, mean=(127 / 128,), std=(1.0,))
    recipe = replace(recipe_of(source, PIXELS), optimizer=Optimizer("sgd"), preprocessing=preprocessing)
    engine = stages.open_engine(stages.build(source, recipe, PIXELS, CLASSES, tmp_path), 8)
    optimizer = torch.optim.SGD(module.parameters(), 0.05)
    pixels, label = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8), np.arange(8) % CLASSES
    for step in range(1, 11):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(module(prepared(pixels)), torch.from_numpy(label))
        torch.autograd.backward(loss)
        optimizer.step()
        assert engine.train_step(pixels, label, 0.05, step) == pytest.approx(float(loss.detach()), rel=1e-4)


def test_a_backbone_in_training_mode_takes_its_running_statistics(tmp_path: Path) -> None:
    path = write(tmp_path / "model.onnx", small(nn.Flatten()))
    model = onnx.load(path)
    # What the exporter folds into the convolution before it.
    names = ["scale", "bias", "mean", "variance"]
    norm = onnx.helper.make_node("BatchNormalization", ["x", *names], ["normal", "", ""], training_mode=1)
    model.graph.initializer.extend(numpy_helper.from_array(np.ones(3, np.float32), name) for name in names)
    model.graph.node[0].input[0] = "normal"
    model.graph.node.insert(0, norm)
    onnx.save(model, path)
    features = onnx.load(build(path, tmp_path) / "features.onnx")
    assert not [node for node in features.graph.node if trains(node)]


def test_a_backbone_is_a_file() -> None:
    with pytest.raises(UsageError, match="--backbone lenet: give a file"):
        find_model("transfer", None, "lenet")


def test_weights_in_a_file_of_their_own_belong_to_the_model(tmp_path: Path) -> None:
    path = write(tmp_path / "net.onnx", small())
    assert files_of(path) == [path]
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="net.bin", size_threshold=0)
    assert files_of(path) == [path, tmp_path / "net.bin"]
