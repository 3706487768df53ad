"""The steps: preprocessing, network and gradients in one graph, the optimizer in another; and both in one.

The gradient step and the eval step take and give each tensor under a name of its own, so that the runner binds them to
where they lie. The update step is elementwise over vectors of any length: of all parameters, or of a part of them. The
train step is a whole update, all trainable parameters one float32 vector, and each state of the optimizer another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import onnx
from onnx import TensorProto, compose, helper

from device_runtime.formats.steps import BUFFER, GRADIENT, PARAMETER, PROXIMAL, RENEWED, START
from pipeline.errors import LoweringError
from pipeline.graphs.graph import Graph, Shape, Value
from pipeline.graphs.names import FEATURES, IMAGE, LABELS, LOGITS
from pipeline.lowering.network import Network
from pipeline.lowering.rules.batch import give_batch
from pipeline.lowering.rules.dropout import STEP, give_step
from pipeline.lowering.rules.randomness import calm
from pipeline.lowering.training_graph import lower
from pipeline.optimizers import Optimizer, Update, clipped, norm_of

LABEL = "label"

# The parameters as they were when the round began, in the train step one vector.
_START = "start"

# The value of each parameter and of each buffer.
_Tensors = tuple[Mapping[str, Value], Mapping[str, Value]]


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
    vector, buffers = _length(network.trainable), _length(network.buffers)
    inputs = [*_batch_inputs(network), *_update_inputs(optimizer, vector)]
    inputs += [_float("buffers", buffers)] if network.buffers else []
    inputs += [_float(_START, vector), _float(PROXIMAL, [])] if network.proximal else []
    _reserve(g, inputs)
    pieces = _pieces("parameters", network.trainable, g), _pieces("buffers", network.buffers, g)
    loss, gradients, renewed = _write_gradients(network, g, pieces)
    if network.proximal:
        gradients = _with_proximal(gradients, pieces[0], _pieces(_START, network.trainable, g), g)
    results = {"loss": loss} | ({"buffers_out": _flat(g, renewed, network.buffers)} if renewed else {})
    gradient = _flat(g, gradients, network.trainable)
    if clip_norm is not None:
        gradient = clipped(gradient, clip_norm, g)
    results |= _write_update(optimizer, gradient, g)
    shapes = dict.fromkeys(results, vector) | {"loss": [], "buffers_out": buffers}
    return g.model("train_step", inputs, _outputs(g, results, shapes))


def build_gradient_step(network: Network) -> onnx.ModelProto:
    """A batch, the number of the step, from which dropout draws, and each parameter and buffer → loss and gradients.

    Each buffer comes out as training renews it.

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
    inputs = [*_batch_inputs(network), _step_input(), *_tensor_inputs(network)]
    starts = {name: f"{START}{name}" for name in network.trainable} if network.proximal else {}
    inputs += [_float(value, list(network.trainable[name])) for name, value in starts.items()]
    inputs += [_float(PROXIMAL, [])] if network.proximal else []
    _reserve(g, inputs)
    own = _tensors(network)
    loss, gradients, renewed = _write_gradients(network, g, own)
    if network.proximal:
        gradients = _with_proximal(gradients, own[0], starts, g)
    results, shapes = {"loss": loss}, dict[str, list[int | str]](loss=[])
    for prefix, values, tensors in ((GRADIENT, gradients, network.trainable), (RENEWED, renewed, network.buffers)):
        results |= {f"{prefix}{name}": value for name, value in values.items()}
        shapes |= {f"{prefix}{name}": list(shape) for name, shape in tensors.items()}
    return g.model("gradient_step", inputs, _outputs(g, results, shapes))


def build_update_step(optimizer: Optimizer) -> onnx.ModelProto:
    """Makes one update of P parameters, any number of them, with `gradient` × `scale`.

    Each state is read by nothing that does not lead to its new value: it may be written over its old one.
    """
    g = Graph()
    inputs = [_float("gradient", ["P"]), _float("scale", []), *_update_inputs(optimizer, ["P"])]
    _reserve(g, inputs)
    results = _write_update(optimizer, g.op("Mul", "gradient", "scale"), g)
    return g.model("update_step", inputs, _outputs(g, results, {name: ["P"] for name in results}))


def build_norm_step() -> onnx.ModelProto:
    """`gradient`, a vector of any length P → `square_sum`: the sum of its squares."""
    g = Graph()
    inputs = [_float("gradient", ["P"])]
    _reserve(g, inputs)
    norm = norm_of("gradient", g)
    results = {"square_sum": g.op("Mul", norm, norm)}
    return g.model("norm_step", inputs, _outputs(g, results, {"square_sum": []}))


def build_eval_step(network: Network, output: Sequence[int]) -> onnx.ModelProto:
    """Pixels, labels, parameters and running statistics → loss (mean of the batch) and logits N×`output`.

    Raises:
      LoweringError: an operator of the eval graph has no form in the ONNX standard.
    """
    g = Graph()
    inputs = [*_batch_inputs(network), *_tensor_inputs(network)]
    _reserve(g, inputs)
    # Batch normalisation without running statistics takes the batch's here, too.
    give_batch(g, LABEL)
    given = _given(network, network.evaluation, g, _tensors(network))
    values = lower(network.evaluation, g, given, network.shapes)
    results = {"loss": values[network.evaluation_loss], "logits": values[LOGITS]}
    return g.model("eval_step", inputs, _outputs(g, results, {"loss": [], "logits": ["N", *output]}))


def _write_gradients(network: Network, g: Graph, tensors: _Tensors) -> tuple[Value, dict[str, Value], dict[str, Value]]:
    """Writes forward and backward pass; returns the loss, each parameter's gradient and each new buffer."""
    training = network.training
    give_step(g, STEP)
    give_batch(g, LABEL)
    values = lower(training, g, _given(network, training, g, tensors), network.shapes)
    gradients = {name: values[network.gradients[name]] for name in network.trainable}
    return values[network.loss], gradients, {name: values[network.renewed[name]] for name in network.buffers}


def _with_proximal(
    gradients: Mapping[str, Value], parameters: Mapping[str, Value], starts: Mapping[str, Value], g: Graph
) -> dict[str, Value]:
    """Adds to each gradient that of μ/2 · |w − w0|²."""

    def term(name: str) -> Value:
        return g.op("Mul", PROXIMAL, g.op("Sub", parameters[name], starts[name]))

    return {name: g.op("Add", gradient, term(name)) for name, gradient in gradients.items()}


def _write_update(optimizer: Optimizer, gradient: Value, g: Graph) -> dict[str, Value]:
    """Writes the optimizer; returns the new parameters and states by the names of the outputs."""
    names = optimizer.states()
    update = Update("parameters", gradient, "learning_rate", STEP, {n: n for n in names}, optimizer.values())
    parameters, states = optimizer.write(update, g)
    return {"parameters_out": parameters, **{f"{name}_out": states[name] for name in names}}


def _update_inputs(optimizer: Optimizer, vector: list[int | str]) -> list[onnx.ValueInfoProto]:
    names = ("parameters", *optimizer.states())
    return [_float("learning_rate", []), _step_input(), *(_float(name, vector) for name in names)]


def _step_input() -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(STEP, TensorProto.INT64, [])


def _tensor_inputs(network: Network) -> list[onnx.ValueInfoProto]:
    """Each parameter and each buffer."""
    kinds = ((PARAMETER, network.trainable), (BUFFER, network.buffers))
    return [_float(f"{kind}{name}", list(shape)) for kind, tensors in kinds for name, shape in tensors.items()]


def _tensors(network: Network) -> _Tensors:
    """The values of `_tensor_inputs`, by the tensors' names: parameters, buffers."""
    parameters, buffers = network.trainable, network.buffers
    return {name: f"{PARAMETER}{name}" for name in parameters}, {name: f"{BUFFER}{name}" for name in buffers}


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


def _given(network: Network, model: onnx.ModelProto, g: Graph, tensors: _Tensors) -> dict[str, Value]:
    """Values for the inputs of a training or eval graph: the preprocessed image, the label, every parameter."""
    parameters, buffers = tensors
    given = {**parameters, **buffers}
    given |= {FEATURES: FEATURES} if network.preprocess is None else {IMAGE: _preprocessed(network.preprocess, g)}
    wanted = [info.name for info in model.graph.input]
    for name in wanted:
        if name in given or name.endswith(".accumulation.buffer") or name == "lazy_reset_grad":
            continue
        if name in network.frozen:
            given[name] = g.tensor(network.frozen[name])
        elif name == LABELS:
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


def _label_input(network: Network) -> onnx.ValueInfoProto:
    """The targets of a batch, of whatever kind the loss takes."""
    label = onnx.ValueInfoProto()
    label.CopyFrom(next(info for info in network.training.graph.input if info.name == LABELS))
    label.name = LABEL
    label.type.tensor_type.shape.dim[0].dim_param = "N"
    return label


def _batch_inputs(network: Network) -> list[onnx.ValueInfoProto]:
    """The batch as the runner feeds it: raw pixels, or features where a frozen backbone stands before the graph."""
    if network.preprocess is None:
        features = helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, list(network.shapes[FEATURES]))
        return [features, _label_input(network)]
    pixels = onnx.ValueInfoProto()
    pixels.CopyFrom(network.preprocess.graph.input[0])
    pixels.name = IMAGE
    return [pixels, _label_input(network)]


def _outputs(
    g: Graph, results: Mapping[str, Value], shapes: Mapping[str, list[int | str]]
) -> list[onnx.ValueInfoProto]:
    g.publish(results)
    return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in results]
