"""RNN, LSTM and GRU as products and elementwise operators, step by step: onnxruntime-training gives them gradients.

The input's products are one for all steps. Formulas and the order of the gates are those of the ONNX standard: i, o,
f, c of an LSTM and z, r, h of a GRU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.errors import LoweringError
from pipeline.graphs.graph import Graph, Value
from pipeline.graphs.node import Node

# Unrolled, each step is some thirty nodes of the train step.
MOST_STEPS = 256

_GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
_ACTIVATIONS = {"RNN": ("Tanh",), "LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh")}
_CHOICES = ("Tanh", "Relu", "Sigmoid")


@dataclass(frozen=True)
class _Direction:
    """One direction of a layer of H units and G gates.

    Attributes:
      products: of the input with its weights, and the biases that stand beside them, one N×(G·H) for each step.
      recurrent: the recurrent weights, H×(G·H).
      bias: G·H, added to what the recurrent weights give; "" where it is in `products` already.
      size: H.
      activations: of the gates, in the standard's order.
    """

    products: Sequence[Value]
    recurrent: Value
    bias: Value
    size: int
    activations: Sequence[str]


# Hidden state, and an LSTM's cell state; "" before the first step where none is given: it is 0.
_State = tuple[Value, Value]
_Cell = Callable[[_Direction, Value, _State, Graph], _State]


def write_recurrent(node: Node, g: Graph) -> tuple[Value, ...]:
    """RNN, LSTM or GRU(x T×N×I, W, R, B, -, h₀, c₀) → y T×D×N×H, the last h D×N×H and, of an LSTM, the last c.

    Raises:
      LoweringError: it has a form that is not known here, or a number of steps that is unknown or too large.
    """
    _check(node)
    kind = node.attributes.get("direction", b"forward").decode()
    backwards = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[kind]
    given = [_apart(node, index, len(backwards), g) for index in (1, 2, 3, 5, 6)]
    sequences: list[Value] = []
    last: list[_State] = []
    for reverse, (w, r, b, h, c) in zip(backwards, zip(*given, strict=True), strict=True):
        direction = _direction(node, w, r, b, g)
        state, states = (h, c), list[Value]()
        for product in direction.products[:: -1 if reverse else 1]:
            state = _CELLS[node.op_type](direction, product, state, g)
            states.append(g.op("Unsqueeze", state[0], g.ints([0, 1])))
        sequences.append(_joined(g, states[:: -1 if reverse else 1], 0))
        last.append(state)
    finals = [
        _joined(g, [g.op("Unsqueeze", v, g.ints([0])) for v in states if v], 0) for states in zip(*last, strict=True)
    ]
    return _joined(g, sequences, 1), *(finals if node.op_type == "LSTM" else finals[:1])


def _check(node: Node) -> None:
    steps, attributes = node.input_shape(0)[0], node.attributes
    kinds = {kind.decode() for kind in attributes.get("activations", ())}
    odd = [name for name in ("clip", "input_forget", "layout", "activation_alpha") if attributes.get(name)]
    odd += ["sequence lengths"] if _given(node, 4) else []
    odd += ["peepholes"] if _given(node, 7) else []
    odd += sorted(kinds - set(_CHOICES))
    if odd:
        raise LoweringError(
            f"{node.op_type} (node {node.name!r}) has no gradient with {', '.join(odd)}: export it without"
        )
    if not isinstance(steps, int) or steps > MOST_STEPS:
        raise LoweringError(
            f"{node.op_type} (node {node.name!r}) has no gradient over {steps} steps: export it with a fixed length of "
            f"at most {MOST_STEPS}"
        )


def _given(node: Node, index: int) -> Value:
    return node.inputs[index] if len(node.inputs) > index else ""


def _apart(node: Node, index: int, count: int, g: Graph) -> Sequence[Value]:
    """An input of each direction, without the axis of directions."""
    value = _given(node, index)
    if not value:
        return [""] * count
    parts = g.ops("Split", value, outputs=count, axis=0) if count > 1 else [value]
    return [g.op("Squeeze", part, g.ints([0])) for part in parts]


def _direction(node: Node, w: Value, r: Value, b: Value, g: Graph) -> _Direction:
    size, steps = int(node.attributes["hidden_size"]), int(node.input_shape(0)[0])
    products, bias = g.op("MatMul", node.inputs[0], g.op("Transpose", w, perm=[1, 0])), ""
    if b:
        beside, bias = g.ops("Split", b, outputs=2, axis=0)
        products = g.op("Add", products, beside)
        if not node.attributes.get("linear_before_reset", 0):
            products, bias = g.op("Add", products, bias), ""
    parts = g.ops("Split", products, outputs=steps, axis=0) if steps > 1 else [products]
    count = len(_ACTIVATIONS[node.op_type])
    chosen = [kind.decode() for kind in node.attributes.get("activations", ())] or _ACTIVATIONS[node.op_type]
    return _Direction(
        [g.op("Squeeze", part, g.ints([0])) for part in parts],
        g.op("Transpose", r, perm=[1, 0]),
        bias,
        size,
        chosen[:count],
    )


def _joined(g: Graph, values: Sequence[Value], axis: int) -> Value:
    if not values:
        return ""
    return g.op("Concat", *values, axis=axis) if len(values) > 1 else values[0]


def _added(g: Graph, *values: Value) -> Value:
    """The sum of those that are not 0."""
    total, *others = [value for value in values if value]
    for value in others:
        total = g.op("Add", total, value)
    return total


def _recurrent(direction: _Direction, h: Value, g: Graph) -> Value:
    product = g.op("MatMul", h, direction.recurrent) if h else ""
    return _added(g, product, direction.bias) if product or direction.bias else ""


def _rnn(direction: _Direction, product: Value, state: _State, g: Graph) -> _State:
    """The next h = f(x Wᵀ + h Rᵀ). Elman, 1990."""
    return g.op(direction.activations[0], _added(g, product, _recurrent(direction, state[0], g))), ""


def _lstm(direction: _Direction, product: Value, state: _State, g: Graph) -> _State:
    """The next c = f c + i tanh(…) and h = o tanh(c); i, o, f = σ(…). Gers et al., 2000."""
    h, c = state
    inner, cell, outer = direction.activations
    gates = g.ops("Split", _added(g, product, _recurrent(direction, h, g)), outputs=4, axis=-1)
    i, o, f = (g.op(inner, gate) for gate in gates[:3])
    new = g.op("Mul", i, g.op(cell, gates[3]))
    new = g.op("Add", g.op("Mul", f, c), new) if c else new
    return g.op("Mul", o, g.op(outer, new)), new


def _gru(direction: _Direction, product: Value, state: _State, g: Graph) -> _State:
    """The next h = (1 − z) n + z h; z, r = σ(…), n = tanh(x + r (h Rᵀ + b)) or tanh(x + (r h) Rᵀ). Cho et al., 2014."""
    h, (inner, outer) = state[0], direction.activations
    sizes = g.ints([2 * direction.size, direction.size])
    gates, candidate = _split(product, sizes, g)
    if direction.bias:
        both = _recurrent(direction, h, g)
        given, after = _split(both, sizes, g)
        z, r = g.ops("Split", g.op(inner, g.op("Add", gates, given)), outputs=2, axis=-1)
        n = g.op(outer, g.op("Add", candidate, g.op("Mul", r, after)))
    elif h:
        first, second = _split(direction.recurrent, sizes, g)
        z, r = g.ops("Split", g.op(inner, g.op("Add", gates, g.op("MatMul", h, first))), outputs=2, axis=-1)
        n = g.op(outer, g.op("Add", candidate, g.op("MatMul", g.op("Mul", r, h), second)))
    else:
        # By Slice, as onnxruntime-training's gradient of a Split leaves out a part that nothing reads.
        z = g.op(inner, g.op("Slice", gates, g.ints([0]), g.ints([direction.size]), g.ints([-1])))
        n = g.op(outer, candidate)
    new = g.op("Mul", g.op("Sub", g.floats(1.0), z), n)
    return _added(g, new, g.op("Mul", z, h) if h else ""), ""


def _split(value: Value, sizes: Value, g: Graph) -> tuple[Value, ...]:
    return g.ops("Split", value, sizes, outputs=2, axis=-1)


_CELLS: dict[str, _Cell] = {"RNN": _rnn, "LSTM": _lstm, "GRU": _gru}
