"""Gradients of activations, and the bookkeeping operators of the training graph."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from onnx import numpy_helper

from pipeline.graphs.graph import Graph, Value
from pipeline.graphs.node import Node
from pipeline.lowering.rules.registry import lowers

# How the two comparisons of Clip's gradient are remembered.
_BOUNDS = ("at least", "at most")


@lowers("ReluGrad")
def relu_grad(node: Node, g: Graph) -> Value:
    """ReluGrad(dy, y) → dx: dy where the output (or the input, the sign is the same) is above 0."""
    dy, y = node.inputs
    return g.where_positive(y, dy)


@lowers("Clip")
def clip(node: Node, g: Graph) -> Value:
    """Clip(x, low, high) → y, remembered for the gradient."""
    y = g.op("Clip", *node.inputs, **node.attributes)
    g.remember(_clip_key(node.inputs), (y,))
    return y


@lowers("GreaterOrEqual")
def greater_or_equal(node: Node, g: Graph) -> Value:
    """GreaterOrEqual(a, b), remembered for `both`."""
    return _remembered(node, g, _BOUNDS[0])


@lowers("LessOrEqual")
def less_or_equal(node: Node, g: Graph) -> Value:
    """LessOrEqual(a, b), remembered for `both`."""
    return _remembered(node, g, _BOUNDS[1])


@lowers("And")
def both(node: Node, g: Graph) -> Value:
    """And(a, b); in Clip's gradient, low < x < high as torch's ReLU6 and Hardtanh have it, in one comparison."""
    low, high = (g.recall_or_none(f"{kind}/{value}") for kind, value in zip(_BOUNDS, node.inputs, strict=True))
    if low and high and low[0] == high[0]:
        bounds = _inside(g, low[1], high[1])
        if bounds and g.recall_or_none(_clip_key((low[0], low[1], high[1]))):
            # As a further Clip: comparisons and their And take longer, each on one thread.
            return g.op("Equal", low[0], g.op("Clip", low[0], *bounds))
    return g.op("And", *node.inputs)


@lowers("Identity")
def identity(node: Node, g: Graph) -> Value:
    """Identity(x) → x, without a node."""
    return node.inputs[0]


@lowers("InPlaceAccumulatorV2")
def in_place_accumulator(node: Node, g: Graph) -> Value:
    """InPlaceAccumulatorV2(buffer, gradient, reset) → gradient: the step consumes each gradient at once."""
    return node.inputs[1]


@lowers("SigmoidGrad")
def sigmoid_grad(node: Node, g: Graph) -> Value:
    """SigmoidGrad(dy, y) → dx = dy × y × (1 − y)."""
    dy, y = node.inputs
    return g.op("Mul", dy, g.op("Mul", y, g.op("Sub", g.floats(1.0), y)))


@lowers("Sigmoid")
def sigmoid(node: Node, g: Graph) -> Value:
    """Sigmoid(x) → y, remembered for `product`."""
    y = g.op("Sigmoid", *node.inputs)
    g.remember(f"sigmoid/{y}", node.inputs)
    return y


@lowers("Mul")
def product(node: Node, g: Graph) -> Value:
    """Mul(a, b); of x and its sigmoid, SiLU, it is remembered for the gradient."""
    y = g.op("Mul", *node.inputs)
    for x, other in (node.inputs, node.inputs[::-1]):
        if g.recall_or_none(f"sigmoid/{other}") == (x,):
            g.remember(_silu_key(x), (other, y))
    return y


@lowers("HardSwish")
def hard_swish(node: Node, g: Graph) -> Value:
    """HardSwish(x) → x × HardSigmoid(x). Howard et al., arXiv:1905.02244."""
    return g.op("Mul", node.inputs[0], _gate(g, node.inputs[0]))


@lowers("HardSwishGrad")
def hard_swish_grad(node: Node, g: Graph) -> Value:
    """HardSwishGrad(dy, x) → dx = dy × (HardSigmoid(x) + x / 6 where x is between −3 and 3).

    By two ThresholdedRelus, each of which is one pass and 0 at its bound; a Where takes twenty times as long.
    """
    dy, x = node.inputs
    below = g.op("ThresholdedRelu", g.op("Mul", x, g.floats(-1 / 6)), alpha=-0.5)
    between = g.op("ThresholdedRelu", g.op("Neg", below), alpha=-0.5)
    return g.op("Mul", dy, g.op("Add", _gate(g, x), between))


@lowers("TanhGrad")
def tanh_grad(node: Node, g: Graph) -> Value:
    """TanhGrad(dy, y) → dx = dy × (1 − y²)."""
    dy, y = node.inputs
    return g.op("Mul", dy, g.op("Sub", g.floats(1.0), g.op("Mul", y, y)))


@lowers("LeakyReluGrad")
def leaky_relu_grad(node: Node, g: Graph) -> Value:
    """LeakyReluGrad(dy, y) → dx: dy, times alpha where y is not above 0."""
    dy, y = node.inputs
    alpha = g.floats(node.attributes.get("alpha", 0.01))
    return g.op("Where", g.op("Greater", y, g.floats(0.0)), dy, g.op("Mul", dy, alpha))


@lowers("Gelu")
def gelu(node: Node, g: Graph) -> Value:
    """Gelu(x) → x × Φ(x), Φ the normal distribution. Hendrycks and Gimpel, arXiv:1606.08415."""
    return g.op("Mul", node.inputs[0], _normal_cdf(g, node.inputs[0]))


@lowers("GeluGrad")
def gelu_grad(node: Node, g: Graph) -> Value:
    """GeluGrad(dy, x) → dx = dy × (Φ(x) + x × φ(x))."""
    dy, x = node.inputs
    exponent = g.op("Mul", g.op("Mul", x, x), g.floats(-0.5))
    density = g.op("Mul", g.op("Exp", exponent), g.floats(1 / math.sqrt(2 * math.pi)))
    return g.op("Mul", dy, g.op("Add", _normal_cdf(g, x), g.op("Mul", x, density)))


@lowers("QuickGelu")
def quick_gelu(node: Node, g: Graph) -> Value:
    """QuickGelu(x) → x × σ(alpha × x): SiLU with alpha 1, into which onnxruntime-training turns x × sigmoid(x)."""
    return g.op("Mul", node.inputs[0], _scaled_sigmoid(node, g, node.inputs[0]))


@lowers("QuickGeluGrad")
def quick_gelu_grad(node: Node, g: Graph) -> Value:
    """QuickGeluGrad(dy, x) → dx = dy × σ × (1 + alpha × x × (1 − σ))."""
    dy, x = node.inputs
    known = g.recall_or_none(_silu_key(x)) if _alpha(node) == 1.0 else None
    if known:
        sigmoid, y = known
        return g.op("Mul", dy, g.op("Add", sigmoid, g.op("Mul", y, g.op("Sub", g.floats(1.0), sigmoid))))
    sigmoid = _scaled_sigmoid(node, g, x)
    slope = g.op("Mul", g.op("Mul", x, g.floats(_alpha(node))), g.op("Sub", g.floats(1.0), sigmoid))
    return g.op("Mul", dy, g.op("Mul", sigmoid, g.op("Add", slope, g.floats(1.0))))


@lowers("SoftmaxGrad_13")
def softmax_grad(node: Node, g: Graph) -> Value:
    """SoftmaxGrad(dy, y) → dx = (dy − Σ dy × y) × y along the axis."""
    dy, y = node.inputs
    total = g.sum(g.op("Mul", dy, y), [node.attributes.get("axis", -1)], keepdims=True)
    return g.op("Mul", g.op("Sub", dy, total), y)


@lowers("LogSoftmaxGrad_13")
def log_softmax_grad(node: Node, g: Graph) -> Value:
    """LogSoftmaxGrad(dy, y) → dx = dy − exp(y) × Σ dy along the axis."""
    dy, y = node.inputs
    total = g.sum(dy, [node.attributes.get("axis", -1)], keepdims=True)
    return g.op("Sub", dy, g.op("Mul", g.op("Exp", y), total))


def _remembered(node: Node, g: Graph, kind: str) -> Value:
    value = g.op(node.op_type, *node.inputs)
    g.remember(f"{kind}/{value}", node.inputs)
    return value


def _inside(g: Graph, low: Value, high: Value) -> tuple[Value, Value] | None:
    """The float32 numbers next to two bounds, between them; None where the bounds are computed."""
    if low not in g.constants or high not in g.constants:
        return None
    least, most = (numpy_helper.to_array(g.constants[bound]) for bound in (low, high))
    return g.floats(np.nextafter(least, most)), g.floats(np.nextafter(most, least))


def _clip_key(inputs: Sequence[Value]) -> str:
    return "clip/" + "/".join(inputs)


def _silu_key(x: Value) -> str:
    return f"silu/{x}"


def _gate(g: Graph, x: Value) -> Value:
    return g.op("HardSigmoid", x, alpha=1 / 6, beta=0.5)


def _normal_cdf(g: Graph, x: Value) -> Value:
    error = g.op("Erf", g.op("Mul", x, g.floats(1 / math.sqrt(2))))
    return g.op("Mul", g.op("Add", error, g.floats(1.0)), g.floats(0.5))


def _scaled_sigmoid(node: Node, g: Graph, x: Value) -> Value:
    alpha = _alpha(node)
    return g.op("Sigmoid", x if alpha == 1.0 else g.op("Mul", x, g.floats(alpha)))


def _alpha(node: Node) -> float:
    return float(node.attributes.get("alpha", 1.702))
