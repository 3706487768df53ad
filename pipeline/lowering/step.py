"""The train step and the eval step: preprocessing, network, gradients and optimizer in one graph each.

All trainable parameters are one float32 vector, and each state of the optimizer another, so that the optimizer takes
about ten nodes however many layers there are and the runner swaps two buffers instead of copying.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from pipeline.errors import LoweringError
from pipeline.lowering.graph import Graph, Shape, Value
from pipeline.lowering.optimizers import Update, state_names, write_update
from pipeline.lowering.training_graph import lower, shapes_of
from pipeline.recipe import Optimizer
from pipeline.split import FEATURES, IMAGE

LABEL = "label"


@dataclass(frozen=True)
class Network:
    """What both steps are made of.

    Attributes:
      training: onnxruntime-training's training graph.
      evaluation: its eval graph, with the same parameters.
      preprocess: `pixels` uint8 N×H×W×C → `image` float32 N×C×H'×W'; None where the graphs take features.
      trainable: shapes of the trainable parameters by name, in the order of the flat vector.
      frozen: the frozen parameters by name.
      shapes: shapes of the forward graph's values.
    """

    training: onnx.ModelProto
    evaluation: onnx.ModelProto
    preprocess: onnx.ModelProto | None
    trainable: Mapping[str, Shape]
    frozen: Mapping[str, onnx.TensorProto]
    shapes: Mapping[str, Shape]


def build_train_step(network: Network, optimizer: Optimizer) -> onnx.ModelProto:
    """One update: pixels, labels, learning rate, step number, parameters and optimizer state → loss and new state.

    Raises:
      LoweringError: an operator of the training graph has no form in the ONNX standard.
    """
    g = Graph()
    inputs = [*_batch_inputs(network), *_update_inputs(network, optimizer)]
    _reserve(g, inputs)
    loss, gradient = _write_gradient(network, g)
    results = {"loss": loss, **_write_update(optimizer, gradient, g)}
    vector = _vector(network)
    return g.model("train_step", inputs, _outputs(g, results, {"loss": [], **dict.fromkeys(list(results)[1:], vector)}))


def build_gradient_step(network: Network) -> onnx.ModelProto:
    """Adds a batch's gradient to `gradient`: the first half of an update over several batches.

    Raises:
      LoweringError: an operator of the training graph has no form in the ONNX standard.
    """
    g = Graph()
    vector = _vector(network)
    inputs = [*_batch_inputs(network), _float("parameters", vector), _float("gradient", vector)]
    _reserve(g, inputs)
    loss, gradient = _write_gradient(network, g)
    results = {"loss": loss, "gradient_out": g.op("Add", "gradient", gradient)}
    return g.model("gradient_step", inputs, _outputs(g, results, {"loss": [], "gradient_out": vector}))


def build_update_step(network: Network, optimizer: Optimizer) -> onnx.ModelProto:
    """Makes one update with `gradient` × `scale`: the second half of an update over several batches."""
    g = Graph()
    vector = _vector(network)
    inputs = [_float("gradient", vector), _float("scale", []), *_update_inputs(network, optimizer)]
    _reserve(g, inputs)
    results = _write_update(optimizer, g.op("Mul", "gradient", "scale"), g)
    return g.model("update_step", inputs, _outputs(g, results, dict.fromkeys(results, vector)))


def build_eval_step(network: Network, classes: int) -> onnx.ModelProto:
    """Pixels, labels and parameters → loss (mean of the batch) and logits.

    Raises:
      LoweringError: an operator of the eval graph has no form in the ONNX standard.
    """
    g = Graph()
    inputs = [*_batch_inputs(network), _float("parameters", _vector(network))]
    _reserve(g, inputs)
    values = lower(network.evaluation, g, _given(network, network.evaluation, g), network.shapes)
    results = {"loss": values[network.evaluation.graph.output[0].name], "logits": values["logits"]}
    return g.model("eval_step", inputs, _outputs(g, results, {"loss": [], "logits": ["N", classes]}))


def _write_gradient(network: Network, g: Graph) -> tuple[Value, Value]:
    """Writes forward and backward pass; returns the loss and the flat gradient."""
    values = lower(network.training, g, _given(network, network.training, g), network.shapes)
    return values[network.training.graph.output[0].name], _flat_gradient(network, values, g)


def _write_update(optimizer: Optimizer, gradient: Value, g: Graph) -> dict[str, Value]:
    """Writes the optimizer; returns the new parameters and states by the names of the outputs."""
    names = state_names(optimizer.name, optimizer.values())
    update = Update("parameters", gradient, "learning_rate", "step", {n: n for n in names}, optimizer.values())
    parameters, states = write_update(optimizer.name, update, g)
    return {"parameters_out": parameters, **{f"{name}_out": states[name] for name in names}}


def _update_inputs(network: Network, optimizer: Optimizer) -> list[onnx.ValueInfoProto]:
    names = ("parameters", *state_names(optimizer.name, optimizer.values()))
    step = helper.make_tensor_value_info("step", TensorProto.INT64, [])
    return [_float("learning_rate", []), step, *(_float(name, _vector(network)) for name in names)]


def _reserve(g: Graph, inputs: Sequence[onnx.ValueInfoProto]) -> None:
    """Keeps the names of the inputs from the values inside; `image` and `features` also where they are none."""
    for name in dict.fromkeys([IMAGE, FEATURES, *(info.name for info in inputs)]):
        g.name(name)


def _float(name: str, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _vector(network: Network) -> list[int | str]:
    """The shape of all parameters as one vector."""
    return [sum(math.prod(int(s) for s in shape) for shape in network.trainable.values())]


def _given(network: Network, model: onnx.ModelProto, g: Graph) -> dict[str, Value]:
    """Values for the inputs of a training or eval graph: the preprocessed image, the label, every parameter."""
    given = dict(_pieces(network, g))
    given |= {FEATURES: FEATURES} if network.preprocess is None else {IMAGE: _preprocessed(network.preprocess, g)}
    wanted = [info.name for info in model.graph.input]
    for name in wanted:
        if name in given or name.endswith(".accumulation.buffer") or name == "lazy_reset_grad":
            continue
        if name in network.frozen:
            given[name] = g.constant(numpy_helper.to_array(network.frozen[name]), None, name)
        elif name in ("labels", "target"):
            given[name] = LABEL
        else:
            raise LoweringError(f"the training graph has an input {name!r} that is neither image, label nor parameter")
    return {**dict.fromkeys(wanted, ""), **given}


def _preprocessed(preprocess: onnx.ModelProto, g: Graph) -> Value:
    # The preprocessing's own input is renamed, so that its values do not meet the network's.
    prefixed = compose.add_prefix(preprocess, "preprocess/")
    return lower(prefixed, g, {"preprocess/pixels": IMAGE}, {})["preprocess/image"]


def _pieces(network: Network, g: Graph) -> dict[str, Value]:
    """Each parameter in its shape, cut from the flat vector."""
    sizes = [math.prod(int(s) for s in shape) for shape in network.trainable.values()]
    if len(sizes) == 1:
        pieces: tuple[Value, ...] = ("parameters",)
    else:
        pieces = g.ops("Split", "parameters", g.ints(sizes), outputs=len(sizes), axis=0)
    return {
        name: g.reshape(piece, shape) for (name, shape), piece in zip(network.trainable.items(), pieces, strict=True)
    }


def _flat_gradient(network: Network, values: Mapping[str, Value], g: Graph) -> Value:
    flat = [g.op("Reshape", values[f"{name}_grad.accumulation.out"], g.ints([-1])) for name in network.trainable]
    return flat[0] if len(flat) == 1 else g.op("Concat", *flat, axis=0)


def _batch_inputs(network: Network) -> list[onnx.ValueInfoProto]:
    """The batch as the runner feeds it: raw pixels, or features where a frozen backbone stands before the graph."""
    if network.preprocess is None:
        features = helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, list(network.shapes[FEATURES]))
        return [features, helper.make_tensor_value_info(LABEL, TensorProto.INT64, ["N"])]
    pixels = onnx.ValueInfoProto()
    pixels.CopyFrom(network.preprocess.graph.input[0])
    pixels.name = IMAGE
    return [pixels, helper.make_tensor_value_info(LABEL, TensorProto.INT64, ["N"])]


def _outputs(
    g: Graph, results: Mapping[str, Value], shapes: Mapping[str, list[int | str]]
) -> list[onnx.ValueInfoProto]:
    g.publish(results)
    return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in results]


def network_of(
    training: onnx.ModelProto,
    evaluation: onnx.ModelProto,
    preprocess: onnx.ModelProto | None,
    forward: onnx.ModelProto,
    trainable: Sequence[str],
) -> Network:
    """Puts the parts together; parameters keep the order of `trainable`."""
    shapes = shapes_of(onnx.shape_inference.infer_shapes(forward))
    frozen = {tensor.name: tensor for tensor in forward.graph.initializer if tensor.name not in trainable}
    return Network(training, evaluation, preprocess, {name: shapes[name] for name in trainable}, frozen, shapes)
