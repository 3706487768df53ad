"""Forward operators without a gradient in onnxruntime-training → operators that have one.

Only the graph that gradients are built from is rewritten: the exported files, and with them the trained inference
model, keep the original operators. A rule is one function for one operator, as in `pipeline/lowering/`, but what it
writes is read twice: as it is, and by onnxruntime-training for its gradient. Every branch of a `Where` has to be finite
where the other one is chosen: the gradient of the branch not taken is 0 times its slope, and 0 × inf is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from pipeline.capture.onnx.corrections import CORRECTIONS
from pipeline.capture.onnx.einsum import write_einsum
from pipeline.capture.onnx.recurrent import write_recurrent
from pipeline.capture.shapes import with_shapes
from pipeline.capture.split import trained_part
from pipeline.errors import LoweringError
from pipeline.graphs.graph import Graph, Value
from pipeline.graphs.inference_mode import trains
from pipeline.graphs.node import Node, decorator_of
from pipeline.graphs.reading import read_values, shapes_of

Rewrite = Callable[[Node, Graph], Value | tuple[Value, ...]]

REWRITES: dict[str, Rewrite] = {}
rewrites = decorator_of(REWRITES)


def load_differentiable(export_folder: Path) -> onnx.ModelProto:
    """The graph that training differentiates, of the export, rewritten; parameters keep their names.

    Raises:
      LoweringError: an operator without a gradient cannot be rewritten.
    """
    return rewrite(onnx.load(trained_part(export_folder)))


def rewrite(forward: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `forward` in which every operator of the registries is rewritten, but for integers.

    All values of `forward` keep their names; what trains is told by its initializers, not by the copy's, which has
    further ones. The copy tells the shapes of its values, which onnxruntime-training and the lowering ask for.

    Raises:
      LoweringError: an operator cannot be rewritten.
    """
    # Not measured: ONNX Runtime itself fails on some operators that are rewritten, as on an Einsum with one operand.
    inferred = onnx.shape_inference.infer_shapes(forward, data_prop=True)
    shapes, integers = shapes_of(inferred), _integer_values(inferred)
    g = Graph.beside(forward)
    read = read_values(forward)
    for proto in forward.graph.node:
        rule = REWRITES.get(proto.op_type) or CORRECTIONS.get(proto.op_type)
        written = (
            None
            if rule is None or trains(proto) or proto.output[0] in integers
            else rule(Node.of(proto, proto.input, shapes, read), g)
        )
        if written is None:
            g.nodes.append(proto)
            continue
        values = (written,) if isinstance(written, str) else written
        for value, output in zip(values, proto.output, strict=False):
            if value:
                g.nodes.append(helper.make_node("Identity", [value], [output], name=output))
    rewritten = onnx.ModelProto()
    rewritten.CopyFrom(forward)
    del rewritten.graph.node[:]
    rewritten.graph.node.extend(g.nodes)
    rewritten.graph.initializer.extend(g.constants.values())
    return with_shapes(rewritten)


@rewrites("HardSigmoid")
def hard_sigmoid(node: Node, g: Graph) -> Value:
    """HardSigmoid(x) → alpha × x + beta between 0 and 1. Not Clip: its gradient would be alpha at both ends, not 0."""
    return _hard_sigmoid(g, node.inputs[0], node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5))


@rewrites("HardSwish")
def hard_swish(node: Node, g: Graph) -> Value:
    """HardSwish(x) → x × HardSigmoid(x) with alpha = 1/6. Howard et al., arXiv:1905.02244."""
    x = node.inputs[0]
    return g.op("Mul", x, _hard_sigmoid(g, x, 1 / 6, 0.5))


@rewrites("Elu")
def elu(node: Node, g: Graph) -> Value:
    """Elu(x) → x above 0, else alpha × (eˣ − 1); the slope at 0 is alpha."""
    return _exponential(g, node.inputs[0], node.attributes.get("alpha", 1.0))


@rewrites("Celu")
def celu(node: Node, g: Graph) -> Value:
    """Celu(x) → x above 0, else alpha × (e^(x / alpha) − 1)."""
    alpha = node.attributes.get("alpha", 1.0)
    return _exponential(g, node.inputs[0], alpha, rate=1 / alpha)


@rewrites("Selu")
def selu(node: Node, g: Graph) -> Value:
    """Selu(x) → gamma × Elu(x). Klambauer et al., arXiv:1706.02515."""
    alpha = node.attributes.get("alpha", 1.6732632423543772)
    gamma = node.attributes.get("gamma", 1.0507009873554805)
    return g.op("Mul", _exponential(g, node.inputs[0], alpha), g.floats(gamma))


@rewrites("PRelu")
def parametric_relu(node: Node, g: Graph) -> Value:
    """PRelu(x, slope) → x above 0, else slope × x; slope broadcasts to x and is trained."""
    x, slope = node.inputs
    return g.op("Where", _above(g, x, 0.0), x, g.op("Mul", slope, x))


@rewrites("ThresholdedRelu")
def thresholded_relu(node: Node, g: Graph) -> Value:
    """ThresholdedRelu(x) → x above alpha, else 0."""
    x = node.inputs[0]
    return g.op("Where", _above(g, x, node.attributes.get("alpha", 1.0)), x, g.floats(0.0))


@rewrites("Softplus")
def softplus(node: Node, g: Graph) -> Value:
    """Softplus(x) = log(1 + eˣ) → max(x, 0) + log(1 + e^−|x|): no large number is exponentiated."""
    x, zero = node.inputs[0], g.floats(0.0)
    above = _above(g, x, 0.0)
    # −|x| by Where, since the gradient of Abs at 0 is 0 and this one's has to be 1.
    small = g.op("Exp", g.op("Where", above, g.op("Neg", x), x))
    return g.op("Add", g.op("Where", above, x, zero), g.op("Log", g.op("Add", small, g.floats(1.0))))


@rewrites("Softsign")
def softsign(node: Node, g: Graph) -> Value:
    """Softsign(x) → x / (1 + |x|)."""
    x = node.inputs[0]
    return g.op("Div", x, g.op("Add", g.op("Abs", x), g.floats(1.0)))


@rewrites("InstanceNormalization")
def instance_normalization(node: Node, g: Graph) -> Value:
    """InstanceNormalization(x N×C×…, scale C, bias C) → (x − mean) × scale / std + bias, over all axes behind C.

    Ulyanov et al., arXiv:1607.08022. Group normalisation is exported as this between two Reshapes.
    """
    x, scale, bias = node.inputs
    axes = list(range(1, len(node.input_shape(0)) - 1))
    scale, bias = (g.op("Unsqueeze", value, g.ints(axes)) for value in (scale, bias))
    centred = g.op("Sub", x, g.op("GlobalAveragePool", x))
    variance = g.op("GlobalAveragePool", g.op("Mul", centred, centred))
    std = g.op("Sqrt", g.op("Add", variance, g.floats(node.attributes.get("epsilon", 1e-5))))
    return g.op("Add", g.op("Mul", centred, g.op("Div", scale, std)), bias)


@rewrites("BatchNormalization")
def batch_normalization(node: Node, g: Graph) -> Value:
    """BatchNormalization(x N×C×…, scale, bias, mean, variance) in inference mode → x × slope + offset.

    onnxruntime-training would put it into training mode, whatever the model says.
    """
    x, scale, bias, mean, variance = node.inputs
    std = g.op("Sqrt", g.op("Add", variance, g.floats(node.attributes.get("epsilon", 1e-5))))
    slope = g.op("Div", scale, std)
    offset = g.op("Sub", bias, g.op("Mul", mean, slope))
    axes = g.ints(list(range(1, len(node.input_shape(0)) - 1)))
    factor, summand = (g.op("Unsqueeze", value, axes) for value in (slope, offset))
    return g.op("Add", g.op("Mul", x, factor), summand)


@rewrites("GlobalMaxPool")
def global_max_pool(node: Node, g: Graph) -> Value:
    """GlobalMaxPool(x N×C×…) → N×C×1…: MaxPool over the whole image; the first maximum takes the gradient."""
    size = _static(node, node.input_shape(0)[2:])
    return g.op("MaxPool", node.inputs[0], kernel_shape=size, strides=size)


@rewrites("ReduceMax", "ReduceMin")
def reduce_extremum(node: Node, g: Graph) -> Value:
    """ReduceMax(x) → the mean of the elements that hold it: tied elements share the gradient, as in torch.amax.

    torch.max along an axis gives it to one of them, but is exported as the same operator.
    """
    x = node.inputs[0]
    axes = node.attributes.get("axes", list(range(len(node.input_shape(0)))))
    extremum = g.op(node.op_type, x, axes=axes, keepdims=1)
    holds = g.op("Equal", x, extremum)
    count = g.sum(g.op("Cast", holds, to=TensorProto.FLOAT), axes, keepdims=True)
    share = g.op("Where", holds, g.op("Div", x, count), g.floats(0.0))
    return g.sum(share, axes, keepdims=bool(node.attributes.get("keepdims", 1)))


@rewrites("Einsum")
def einsum(node: Node, g: Graph) -> Value:
    """Einsum(x…) → Transpose, Reshape, MatMul and ReduceSum."""
    return write_einsum(node, g)


@rewrites("RNN", "LSTM", "GRU")
def recurrent(node: Node, g: Graph) -> tuple[Value, ...]:
    """RNN, LSTM, GRU(x T×N×I) → products and elementwise operators, step by step."""
    return write_recurrent(node, g)


def _above(g: Graph, x: Value, threshold: float) -> Value:
    return g.op("Greater", x, g.floats(threshold))


def _hard_sigmoid(g: Graph, x: Value, alpha: float, beta: float) -> Value:
    line = g.op("Add", g.op("Mul", x, g.floats(alpha)), g.floats(beta))
    # Compared with x itself: torch's ends are at −3 and 3, and alpha × 3 is rounded.
    low = g.op("LessOrEqual", x, g.floats(-beta / alpha))
    high = g.op("GreaterOrEqual", x, g.floats((1 - beta) / alpha))
    return g.op("Where", low, g.floats(0.0), g.op("Where", high, g.floats(1.0), line))


def _exponential(g: Graph, x: Value, alpha: float, rate: float = 1.0) -> Value:
    """`x` above 0, else alpha × (e^(rate × x) − 1)."""
    above = _above(g, x, 0.0)
    power = g.op("Where", above, g.floats(0.0), x)
    if rate != 1.0:
        power = g.op("Mul", power, g.floats(rate))
    below = g.op("Mul", g.op("Sub", g.op("Exp", power), g.floats(1.0)), g.floats(alpha))
    return g.op("Where", above, x, below)


def _static(node: Node, sizes: Sequence[int | str]) -> list[int]:
    known = [size for size in sizes if isinstance(size, int)]
    if len(known) != len(sizes):
        raise LoweringError(
            f"{node.op_type} (node {node.name!r}) has no gradient for an image of unknown size: "
            "export the model with static shapes but for the batch"
        )
    return known


def _integer_values(model: onnx.ModelProto) -> set[Value]:
    """Values that want no gradient, as the maximum of a shape."""
    integers = (TensorProto.INT32, TensorProto.INT64)
    return {info.name for info in model.graph.value_info if info.type.tensor_type.elem_type in integers}
