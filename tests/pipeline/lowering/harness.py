"""A torch module through export, artifacts and lowering, and its gradients from the lowered graph."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional

from pipeline.capture.export import write_graph
from pipeline.capture.onnx.artifacts import build_artifacts
from pipeline.capture.onnx.rewrite import load_differentiable
from pipeline.graphs.graph import Graph
from pipeline.lowering.network import network_of
from pipeline.lowering.rules.batch import give_batch
from pipeline.lowering.rules.dropout import STEP, give_step
from pipeline.lowering.training_graph import lower
from pipeline.recipe import Preprocessing, Recipe

Array = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

# The arrays are small: a second thread costs more than it saves.
torch.set_num_threads(1)


@dataclass(frozen=True)
class Gradients:
    """Loss and gradient of each parameter by name."""

    loss: float
    by_name: Mapping[str, Array]


def export_module(module: torch.nn.Module, example: torch.Tensor, folder: Path) -> onnx.ModelProto:
    """The forward graph as the export stage writes it, in `folder`."""
    write_graph(module, example, folder / "forward.onnx")
    return onnx.load(folder / "forward.onnx")


# Pixels are not prepared here, and everything trains.
RECIPE = Recipe(Preprocessing(1, 1))


def by_lowering(
    module: torch.nn.Module, image: Array, label: Labels, folder: Path, recipe: Recipe = RECIPE
) -> Gradients:
    """Exports, differentiates with onnxruntime-training, lowers and runs one batch.

    The export sees a batch of another size, so that a batch written into the graph shows.
    """
    export = folder / "export"
    export.mkdir()
    example = torch.from_numpy(np.concatenate([image[:1]] * (len(image) + 1)))
    forward = export_module(module, example, export)
    classes = forward.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    build_artifacts(export, recipe, classes, folder / "artifacts")
    training = onnx.load(folder / "artifacts" / "training_model.onnx")
    return run_lowered(training, load_differentiable(export), image, label)


def run_lowered(training: onnx.ModelProto, forward: onnx.ModelProto, image: Array, label: Labels) -> Gradients:
    """Lowers a training graph and runs one batch."""
    computed = {name for node in training.graph.node for name in node.output}
    trainable = [name for name in _initializers(forward) if f"{name}_grad.accumulation.out" in computed]
    network = network_of(training, training, None, forward, trainable)
    training = network.training
    g = Graph()
    given = {info.name: "" for info in training.graph.input}
    statistics = {name: numpy_helper.to_array(_initializers(forward)[name]) for name in network.buffers}
    given |= {name: g.constant(numpy_helper.to_array(t), None) for name, t in _initializers(forward).items()}
    given |= {name: g.name(name) for name in ("image", "labels", *statistics)}
    give_step(g, g.name(STEP))
    give_batch(g, "labels")
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
            helper.make_tensor_value_info(STEP, TensorProto.INT64, []),
            *(
                helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape)
                for name, array in statistics.items()
            ),
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
    )
    options = ort.SessionOptions()
    # ScatterND of 1.19.2 loses sums of equal indices on several threads; the device's 1.31.1 does not.
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    loss, *arrays = session.run(None, {"image": image, "labels": label, STEP: np.array(1), **statistics})
    return Gradients(float(loss), dict(zip(trainable, arrays, strict=True)))


Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def by_torch(
    module: torch.nn.Module,
    image: Array,
    label: Labels,
    loss_of: Loss = functional.cross_entropy,
) -> Gradients:
    """The same by torch's autograd, in double precision."""
    exact = copy.deepcopy(module).double()
    exact.zero_grad()
    loss = loss_of(exact(torch.from_numpy(image).double()), torch.from_numpy(label))
    torch.autograd.backward(loss)
    gradients = {name: p.grad.numpy() for name, p in exact.named_parameters() if p.grad is not None}
    return Gradients(float(loss.detach()), gradients)


def assert_same(lowered: Gradients, expected: Gradients, tolerance: float = 1e-5) -> None:
    """Every gradient agrees to `tolerance` of its largest element."""
    assert lowered.by_name.keys() == expected.by_name.keys()
    np.testing.assert_allclose(lowered.loss, expected.loss, rtol=tolerance, atol=tolerance / 10)
    # Some gradients are 0 but for rounding (a bias before a softmax): they are measured against the largest one.
    least = 1e-2 * max(1.0, *(float(np.abs(gradient).max()) for gradient in expected.by_name.values()))
    for name, gradient in expected.by_name.items():
        scale = max(float(np.abs(gradient).max()), least)
        np.testing.assert_allclose(lowered.by_name[name], gradient, rtol=0, atol=tolerance * scale, err_msg=name)


def _initializers(forward: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    return {tensor.name: tensor for tensor in forward.graph.initializer}
