"""A torch module through export, artifacts and lowering, and its gradients from the lowered graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper

from pipeline.artifacts import build_artifacts
from pipeline.lowering.graph import Graph
from pipeline.lowering.step import network_of
from pipeline.lowering.training_graph import lower
from pipeline.recipe import Preprocessing, Recipe
from pipeline.split import split_parameters

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Gradients:
    """Loss and gradient of each parameter by name."""

    loss: float
    by_name: Mapping[str, Array]


def by_lowering(module: torch.nn.Module, image: Array, label: npt.NDArray[np.int64], folder: Path) -> Gradients:
    """Exports, differentiates with onnxruntime-training, lowers and runs one batch."""
    export = folder / "export"
    export.mkdir()
    torch.onnx.export(
        module,
        (torch.from_numpy(image),),
        str(export / "forward.onnx"),
        dynamo=False,
        training=torch.onnx.TrainingMode.TRAINING,
        do_constant_folding=False,
        opset_version=15,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}},
    )
    build_artifacts(export, Recipe(Preprocessing(1, 1)), folder / "artifacts")
    training = onnx.load(folder / "artifacts" / "training_model.onnx")
    forward = onnx.load(export / "forward.onnx")
    trainable, _ = split_parameters(forward, ("*",))
    network = network_of(training, training, training, forward, trainable)
    g = Graph()
    given = {info.name: "" for info in training.graph.input}
    statistics = {name: numpy_helper.to_array(_initializers(forward)[name]) for name in network.buffers}
    given |= {name: g.constant(numpy_helper.to_array(t), None) for name, t in _initializers(forward).items()}
    given |= {name: g.name(name) for name in ("image", "labels", *statistics)}
    values = lower(training, g, given, network.shapes)
    # A prefix of their own: the lowered graph keeps many names of the training graph.
    gradients = {f"out:{name}": values[f"{name}_grad.accumulation.out"] for name in trainable}
    g.publish({"out:loss": values[training.graph.output[0].name], **gradients})
    shapes = {"out:loss": (), **{f"out:{name}": network.trainable[name] for name in trainable}}
    model = g.model(
        "gradients",
        [
            helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", *image.shape[1:]]),
            helper.make_tensor_value_info("labels", TensorProto.INT64, ["N"]),
            *(
                helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape)
                for name, array in statistics.items()
            ),
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
    )
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    loss, *arrays = session.run(None, {"image": image, "labels": label, **statistics})
    return Gradients(float(loss), dict(zip(trainable, arrays, strict=True)))


def by_torch(module: torch.nn.Module, image: Array, label: npt.NDArray[np.int64]) -> Gradients:
    """The same by torch's autograd."""
    module.zero_grad()
    loss = torch.nn.functional.cross_entropy(module(torch.from_numpy(image)), torch.from_numpy(label))
    torch.autograd.backward(loss)
    gradients = {name: p.grad.numpy() for name, p in module.named_parameters() if p.grad is not None}
    return Gradients(float(loss.detach()), gradients)


def assert_same(lowered: Gradients, expected: Gradients, tolerance: float = 1e-5) -> None:
    """Every gradient agrees to `tolerance` of its largest element."""
    assert lowered.by_name.keys() == expected.by_name.keys()
    np.testing.assert_allclose(lowered.loss, expected.loss, rtol=tolerance)
    # Some gradients are 0 but for rounding (a bias before a softmax): they are measured against the largest one.
    least = 1e-2 * max(float(np.abs(gradient).max()) for gradient in expected.by_name.values())
    for name, gradient in expected.by_name.items():
        scale = max(float(np.abs(gradient).max()), least)
        np.testing.assert_allclose(lowered.by_name[name], gradient, rtol=0, atol=tolerance * scale, err_msg=name)


def _initializers(forward: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    return {tensor.name: tensor for tensor in forward.graph.initializer}
