"""ONNX files of every age and maker train as torch does, or are refused in one line that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F  # noqa: N812

from device_runtime.formats.model import read_model
from device_runtime.formats.sample import picture
from pipeline.errors import ModelError, UsageError
from pipeline.recipe import Optimizer, Recipe
from pipeline.sources.model_source import find_model, recipe_of
from tests.pipeline import stages

SIDE, CLASSES, BATCH = 8, 4, 8
PIXELS = picture(SIDE, SIDE, 3)

BODY = """ c = Conv<strides=[2,2]>(x, conv_weight, conv_bias) r = Relu(c) m = MaxPool<kernel_shape=[3,3]>(r)
    f = Flatten(m) logits = Gemm<transB=1>(f, head_weight, head_bias) """
NHWC = " t = Transpose<perm=[0,3,1,2]>(x) " + BODY.replace("(x,", "(t,")

Change = Callable[[onnx.ModelProto], None]


def network() -> nn.ModuleDict:
    torch.manual_seed(7)
    return nn.ModuleDict({"conv": nn.Conv2d(3, 5, 2, stride=2), "head": nn.Linear(20, CLASSES)})


def logits(m: nn.ModuleDict, image: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = m["head"](F.max_pool2d(m["conv"](image).relu(), 3, 1).flatten(1))
    return result


def file(path: Path, opset: int = 15, body: str = BODY, shape: str = "N, 3, 8, 8", ir: int = 8) -> Path:
    """A file of the network."""
    graph = onnx.parser.parse_graph(f"net (float[{shape}] x) => (float[N, {CLASSES}] logits) {{{body}}}")
    for name, tensor in network().state_dict().items():
        graph.initializer.append(numpy_helper.from_array(tensor.numpy(), name.replace(".", "_")))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir), path)
    return path


def changed(path: Path, change: Change) -> Path:
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)
    return path


def weights_among_inputs(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, tensor.dims))


def weights_as_constants(model: onnx.ModelProto) -> None:
    for tensor in list(model.graph.initializer):
        model.graph.node.insert(0, helper.make_node("Constant", [], [tensor.name], value=tensor))
    del model.graph.initializer[:]


def in_type(kind: int) -> Change:
    def change(model: onnx.ModelProto) -> None:
        dtype = helper.tensor_dtype_to_np_dtype(kind)
        for tensor in model.graph.initializer:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(dtype), tensor.name))
        for info in (*model.graph.input, *model.graph.output):
            info.type.tensor_type.elem_type = kind

    return change


def fixed_batch(model: onnx.ModelProto) -> None:
    flatten = next(node for node in model.graph.node if node.op_type == "Flatten")
    flatten.op_type = "Reshape"
    flatten.input.append("flat")
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 20]), "flat"))
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1


def another_output(model: onnx.ModelProto) -> None:
    model.graph.output.insert(0, helper.make_tensor_value_info("f", TensorProto.FLOAT, ["N", 20]))


def trains_as_torch(path: Path, folder: Path, rel: float = 1e-4) -> None:
    module, source = network(), find_model(str(path))
    recipe = replace(recipe_of(source, PIXELS), optimizer=Optimizer("adam"))
    built = stages.build(source, recipe, PIXELS, CLASSES, folder)
    assert sum(p.size for p in read_model(built).parameters) == sum(p.numel() for p in module.parameters())
    engine, optimizer = stages.open_engine(built, BATCH), torch.optim.Adam(module.parameters(), 1e-2)
    pixels, label = (
        np.random.default_rng(0).integers(0, 256, (BATCH, SIDE, SIDE, 3), np.uint8),
        np.arange(BATCH) % CLASSES,
    )
    for step in range(1, 21):
        optimizer.zero_grad()
        loss = F.cross_entropy(
            logits(module, torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255), torch.from_numpy(label)
        )
        torch.autograd.backward(loss)
        optimizer.step()
        assert engine.train_step(pixels, label, 1e-2, step) == pytest.approx(float(loss.detach()), rel=rel)


@pytest.mark.parametrize("opset", range(7, 24))
def test_every_opset_trains(opset: int, tmp_path: Path) -> None:
    trains_as_torch(file(tmp_path / "net.onnx", opset), tmp_path)


@pytest.mark.parametrize("ir", range(3, 14))
def test_every_ir_version_trains_with_its_weights_among_the_inputs(ir: int, tmp_path: Path) -> None:
    path = file(tmp_path / "net.onnx", min(8, ir + 4) if ir < 8 else 15, ir=ir)
    trains_as_torch(changed(path, weights_among_inputs), tmp_path)


def test_weights_that_stand_as_constants_train(tmp_path: Path) -> None:
    trains_as_torch(changed(file(tmp_path / "net.onnx"), weights_as_constants), tmp_path)


def test_a_batch_of_one_is_opened(tmp_path: Path) -> None:
    trains_as_torch(changed(file(tmp_path / "net.onnx", shape="1, 3, 8, 8"), fixed_batch), tmp_path)


def test_a_size_that_is_left_open_is_the_datasets(tmp_path: Path) -> None:
    trains_as_torch(file(tmp_path / "net.onnx", shape="N, 3, H, W"), tmp_path)


@pytest.mark.parametrize(("kind", "rel"), [(TensorProto.FLOAT16, 1e-2), (TensorProto.DOUBLE, 1e-4)])
def test_other_floats_train_in_float32(
    kind: int, rel: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trains_as_torch(changed(file(tmp_path / "net.onnx"), in_type(kind)), tmp_path, rel)
    name = TensorProto.DataType.Name(kind).lower()
    assert f"holds weights in {name}: trained in float32" in capsys.readouterr().err


@pytest.mark.parametrize("shape", ["N, 8, 8, 3", "1, 8, 8, 3", "N, H, W, 3"])
def test_channels_may_come_last(shape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trains_as_torch(file(tmp_path / "net.onnx", body=NHWC, shape=shape), tmp_path)
    assert "takes images as N×H×W×C" in capsys.readouterr().err


def test_of_two_outputs_the_logits_are_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trains_as_torch(changed(file(tmp_path / "net.onnx"), another_output), tmp_path)
    assert "has 2 outputs (f, logits): logits is trained" in capsys.readouterr().err


def test_a_softmax_at_the_end_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = file(tmp_path / "net.onnx", body=BODY.replace("logits =", "l =") + " logits = Softmax<axis=1>(l)")
    build(path, tmp_path)
    assert "ends in Softmax" in capsys.readouterr().err


def test_both_lists_are_shown_where_nothing_matches(tmp_path: Path) -> None:
    body = BODY.replace("(x,", "(y,") + ""
    path = file(tmp_path / "net.onnx", body="y = Sub(x, mean) " + body)
    mean = numpy_helper.from_array(np.ones((1, 3, 1, 1), np.float32), "mean")
    changed(path, lambda model: model.graph.initializer.append(mean))
    with pytest.raises(UsageError, match=r"the model has conv_weight.*its constants, which never train: mean"):
        build(path, tmp_path, trainable=("nothing",))


QUANTISED = " z = QuantizeLinear(x, scale, point) y = DequantizeLinear(z, scale, point) "


def quantised(path: Path, body: str) -> Path:
    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(numpy_helper.from_array(np.array(1 / 128, np.float32), "scale"))
        model.graph.initializer.append(numpy_helper.from_array(np.array(0, np.int8), "point"))

    return changed(file(path, 13, QUANTISED + body.replace("(x,", "(y,")), change)


def test_a_quantised_model_is_a_frozen_backbone_and_does_not_train(tmp_path: Path) -> None:
    path = quantised(tmp_path / "net.onnx", BODY)
    with pytest.raises(ModelError, match=r"is quantised \(DequantizeLinear, QuantizeLinear\), which does not train"):
        build(path, tmp_path)
    source = find_model("transfer", backbone=str(path))
    folder = stages.build(source, recipe_of(source, PIXELS), PIXELS, CLASSES, tmp_path)
    assert [parameter.name for parameter in read_model(folder).parameters] == ["head.weight", "head.bias"]


def other_domain(model: onnx.ModelProto) -> None:
    model.graph.node[1].domain = "my.own"
    model.opset_import.append(helper.make_opsetid("my.own", 1))


def newer_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 24


def newer_ir(model: onnx.ModelProto) -> None:
    model.ir_version = 14


def branch(model: onnx.ModelProto) -> None:
    """ReLU in one branch, nothing in the other."""
    given = helper.make_tensor_value_info("r", TensorProto.FLOAT, None)
    branches = {
        f"{name}_branch": helper.make_graph([helper.make_node(kind, ["c"], ["r"])], name, [], [given])
        for name, kind in (("then", "Relu"), ("else", "Identity"))
    }
    model.graph.initializer.append(helper.make_tensor("cond", TensorProto.BOOL, [], [True]))
    index = next(i for i, node in enumerate(model.graph.node) if node.op_type == "Relu")
    model.graph.node[index].CopyFrom(helper.make_node("If", ["cond"], ["r"], "choice", **branches))


REFUSED: dict[str, tuple[str, Change, str]] = {
    "a branch": ("N, 3, 8, 8", branch, "no gradient is known of If (node 'choice')"),
    "an unknown domain": ("N, 3, 8, 8", other_domain, "export it with operators of the ONNX standard alone"),
    "a new opset": ("N, 3, 8, 8", newer_opset, "is of opset 24, read are those from 7 to 23"),
    "a new IR version": ("N, 3, 8, 8", newer_ir, "is of IR version 14, read are those up to 13"),
    "other channels": ("N, 4, 8, 8", lambda model: None, "convert the dataset, or export the model for it"),
    "text for a file": ("N, 3, 8, 8", lambda model: model.Clear(), "is of"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_train_is_refused_by_its_reason(name: str, tmp_path: Path) -> None:
    shape, change, message = REFUSED[name]
    path = changed(file(tmp_path / "net.onnx", shape=shape), change)
    with pytest.raises(ModelError) as caught:
        build(path, tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "dynamic batch" not in str(caught.value)


def build(path: Path, folder: Path, trainable: tuple[str, ...] = ("*",)) -> Path:
    source = find_model(str(path))
    recipe: Recipe = replace(recipe_of(source, PIXELS), trainable=trainable)
    return stages.build(source, recipe, PIXELS, CLASSES, folder)


@pytest.mark.parametrize("strides", [[0, 0], [-1, 2]])
def test_a_stride_that_crashes_onnxruntime_is_refused(strides: list[int], tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node[0].attribute[0].CopyFrom(helper.make_attribute("strides", strides))

    with pytest.raises(ModelError, match="export it again"):
        build(changed(file(tmp_path / "net.onnx"), change), tmp_path)
