"""The train step and the eval step: preprocessing, network, gradients and optimizer in one graph each.

All trainable parameters are one float32 vector, and each state of the optimizer another, so that the optimizer takes
about ten nodes however many layers there are and the runner swaps two buffers instead of copying.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from pipeline.errors import LoweringError
from pipeline.graphs.graph import Graph, Shape, Value
from pipeline.graphs.names import FEATURES, IMAGE, LOGITS
from pipeline.lowering.network import Network
from pipeline.lowering.rules.dropout import STEP, give_step
from pipeline.lowering.rules.randomness import calm
from pipeline.lowering.training_graph import lower
from pipeline.optimizers import Optimizer, Update, clipped

LABEL = "label"


def build_train_step(network: Network, optimizer: Optimizer, clip_norm: float | None) -> onnx.ModelProto:
    """One update: pixels, labels, learning rate, step number, parameters and optimizer state → loss and new state.

    Args:
      network: what is trained.
      optimizer: how.
      clip_norm: the largest norm of the gradient, or None.

    Raises:
      LoweringError: an operator of the training graph has no form in the ONNX standard.
    """
    g = Graph()
    inputs = [*_batch_inputs(network), *_update_inputs(network, optimizer), *_buffer_inputs(network)]
    _reserve(g, inputs)
    loss, gradient, buffers = _write_gradient(network, g)
    results = {"loss": loss, **buffers, **_write_update(network, optimizer, clip_norm, gradient, g)}
    vectors = dict.fromkeys(results, _length(network.trainable))
    return g.model("train_step", inputs, _outputs(g, results, vectors | _shapes(network)))


def build_gradient_step(network: Network) -> onnx.ModelProto:
    """Adds a batch's gradient to `gradient`: the first half of an update over several batches.

    Running statistics take every batch, as in torch. `step` is a number of the batch, from which dropout draws.

    Raises:
      LoweringError: an operator of the training graph has no form in the ONNX standard.
    """
    return _gradient_step(network, Graph())


def build_calm_gradient_step(network: Network) -> onnx.ModelProto:
    """The gradient step with given random numbers (`rules/randomness.py`), which can be compared with torch's."""
    g = Graph()
    calm(g)
    return _gradient_step(network, g)


def _gradient_step(network: Network, g: Graph) -> onnx.ModelProto:
    vector = _length(network.trainable)
    inputs = [*_batch_inputs(network), _step_input(), *_state_inputs(network, ("parameters", "gradient"))]
    _reserve(g, inputs)
    loss, gradient, buffers = _write_gradient(network, g)
    results = {"loss": loss, **buffers, "gradient_out": g.op("Add", "gradient", gradient)}
    return g.model("gradient_step", inputs, _outputs(g, results, {"gradient_out": vector} | _shapes(network)))


def build_update_step(network: Network, optimizer: Optimizer, clip_norm: float | None) -> onnx.ModelProto:
    """Makes one update with `gradient` × `scale`: the second half of an update over several batches.

    `clip_norm` bounds the norm of that product, the mean gradient.
    """
    g = Graph()
    vector = _length(network.trainable)
    inputs = [_float("gradient", vector), _float("scale", []), *_update_inputs(network, optimizer)]
    _reserve(g, inputs)
    results = _write_update(network, optimizer, clip_norm, g.op("Mul", "gradient", "scale"), g)
    return g.model("update_step", inputs, _outputs(g, results, dict.fromkeys(results, vector)))


def build_eval_step(network: Network, classes: int) -> onnx.ModelProto:
    """Pixels, labels, parameters and running statistics → loss (mean of the batch) and logits.

    Raises:
      LoweringError: an operator of the eval graph has no form in the ONNX standard.
    """
    g = Graph()
    inputs = [*_batch_inputs(network), *_state_inputs(network, ("parameters",))]
    _reserve(g, inputs)
    values = lower(network.evaluation, g, _given(network, network.evaluation, g), network.shapes)
    results = {"loss": values[network.evaluation_loss], "logits": values[LOGITS]}
    return g.model("eval_step", inputs, _outputs(g, results, {"loss": [], "logits": ["N", classes]}))


def _write_gradient(network: Network, g: Graph) -> tuple[Value, Value, dict[str, Value]]:
    """Writes forward and backward pass; returns the loss, the flat gradient and the new buffers as a graph's output."""
    training = network.training
    give_step(g, STEP)
    values = lower(training, g, _given(network, training, g), network.shapes)
    gradient = _flat(g, {name: values[network.gradients[name]] for name in network.trainable}, network.trainable)
    renewed = {name: values[network.renewed[name]] for name in network.buffers}
    buffers = {"buffers_out": _flat(g, renewed, network.buffers)} if renewed else {}
    return values[network.loss], gradient, buffers


def _write_update(
    network: Network, optimizer: Optimizer, clip_norm: float | None, gradient: Value, g: Graph
) -> dict[str, Value]:
    """Writes clipping and optimizer; returns the new parameters and states by the names of the outputs."""
    if clip_norm is not None:
        [size] = _length(network.trainable)
        gradient = clipped(gradient, int(size), clip_norm, g)
    names = optimizer.states()
    update = Update("parameters", gradient, "learning_rate", STEP, {n: n for n in names}, optimizer.values())
    parameters, states = optimizer.write(update, g)
    return {"parameters_out": parameters, **{f"{name}_out": states[name] for name in names}}


def _update_inputs(network: Network, optimizer: Optimizer) -> list[onnx.ValueInfoProto]:
    names = ("parameters", *optimizer.states())
    vector = _length(network.trainable)
    return [_float("learning_rate", []), _step_input(), *(_float(name, vector) for name in names)]


def _step_input() -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(STEP, TensorProto.INT64, [])


def _state_inputs(network: Network, vectors: Sequence[str]) -> list[onnx.ValueInfoProto]:
    """Vectors over the parameters, and the buffers where there are any."""
    return [*(_float(name, _length(network.trainable)) for name in vectors), *_buffer_inputs(network)]


def _buffer_inputs(network: Network) -> list[onnx.ValueInfoProto]:
    return [_float("buffers", _length(network.buffers))] if network.buffers else []


def _reserve(g: Graph, inputs: Sequence[onnx.ValueInfoProto]) -> None:
    """Keeps the names of the inputs from the values inside; `image` and `features` also where they are none."""
    for name in dict.fromkeys([IMAGE, FEATURES, *(info.name for info in inputs)]):
        g.name(name)


def _float(name: str, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _length(tensors: Mapping[str, Shape]) -> list[int | str]:
    """The shape of all tensors as one vector."""
    return [sum(_size(shape) for shape in tensors.values())]


def _size(shape: Shape) -> int:
    return math.prod(int(size) for size in shape)


def _shapes(network: Network) -> dict[str, list[int | str]]:
    """Shapes of the outputs that are no vectors over the parameters."""
    return {"loss": [], "buffers_out": _length(network.buffers)}


def _given(network: Network, model: onnx.ModelProto, g: Graph) -> dict[str, Value]:
    """Values for the inputs of a training or eval graph: the preprocessed image, the label, every parameter."""
    given = _pieces("parameters", network.trainable, g) | _pieces("buffers", network.buffers, g)
    given |= {FEATURES: FEATURES} if network.preprocess is None else {IMAGE: _preprocessed(network.preprocess, g)}
    wanted = [info.name for info in model.graph.input]
    for name in wanted:
        if name in given or name.endswith(".accumulation.buffer") or name == "lazy_reset_grad":
            continue
        if name in network.frozen:
            given[name] = g.constant(numpy_helper.to_array(network.frozen[name]), None, name)
        elif name == "labels":
            given[name] = LABEL
        else:
            raise LoweringError(f"the training graph has an input {name!r} that is neither image, label nor parameter")
    return {**dict.fromkeys(wanted, ""), **given}


def _preprocessed(preprocess: onnx.ModelProto, g: Graph) -> Value:
    # The preprocessing's own input is renamed, so that its values do not meet the network's.
    prefixed = onnx.shape_inference.infer_shapes(compose.add_prefix(preprocess, "preprocess/"))
    return lower(prefixed, g, {"preprocess/pixels": IMAGE}, {})["preprocess/image"]


def _pieces(vector: Value, tensors: Mapping[str, Shape], g: Graph) -> dict[str, Value]:
    """Each tensor in its shape, cut from the flat vector."""
    sizes = [_size(shape) for shape in tensors.values()]
    if len(sizes) < 2:
        pieces: tuple[Value, ...] = (vector,) * len(sizes)
    else:
        pieces = g.ops("Split", vector, g.ints(sizes), outputs=len(sizes), axis=0)
    return {
        name: piece if len(shape) == 1 else g.reshape(piece, shape)
        for (name, shape), piece in zip(tensors.items(), pieces, strict=True)
    }


def _flat(g: Graph, values: Mapping[str, Value], tensors: Mapping[str, Shape]) -> Value:
    """The values of these shapes one after another as a vector."""
    flat = [v if len(tensors[name]) == 1 else g.op("Reshape", v, g.ints([-1])) for name, v in values.items()]
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
