"""Recurrent layers: each a Scan, whose body has what a step cannot do before the one before it is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from pipeline.graphs.graph import Graph, Value
from pipeline.graphs.node import Node
from pipeline.graphs.recurrence import BACKWARD, FORWARD
from pipeline.lowering.rules.registry import lowers

_Values = Sequence[Value]


@dataclass(frozen=True)
class _Cell:
    """The step of a layer: its values within the body of the Scan.

    Attributes:
      r: the recurrent weights H×G·H, of outside.
      bias: G·H, of outside; "" where it is in the products.
      size: H.
    """

    r: Value
    bias: Value
    size: int


# A step: the body, the cell, its states and what is scanned → the new states, and what is kept by step.
_Step = Callable[[Graph, _Cell, _Values, _Values], tuple[_Values, _Values]]


@lowers(FORWARD)
def recurrent(node: Node, g: Graph) -> tuple[Value, ...]:
    """Recurrent(x T×N×I, w, r, [wb], [rb], states N×H…) → y T×N×H, last states, and what the backward pass reads."""
    x, w, r, wb, rb, *states = node.inputs
    kind = node.attributes["kind"].decode()
    units, size = (int(length) for length in node.input_shape(2))
    steps, images = node.input_shape(0)[:2]
    is_gru = kind == "GRU"
    # A GRU's bias of the hidden state stands within the reset gate's product.
    bias = wb if is_gru or not rb else g.op("Add", wb, rb)
    flat = g.op("Reshape", x, g.ints([-1, int(node.input_shape(0)[2])]))
    products = g.op("Gemm", flat, w, *([bias] if bias else []), transB=1)
    # The images of a batch may be the steps, too.
    lengths = [steps, -1, units] if isinstance(steps, int) else [-1, int(images), units]
    products = g.op("Reshape", products, g.ints(lengths))
    scanned = g.ops("Split", products, g.ints([2 * size, size]), outputs=2, axis=2) if is_gru else (products,)
    cell = _Cell(g.op("Transpose", r, perm=[1, 0]), rb if is_gru else "", size)
    last, kept = _scan(g, _STEPS[kind], cell, states, scanned, bool(node.attributes["reverse"]))
    # The hidden states of all steps at once, as a step's own would be copied from body to result.
    if kind == "LSTM":
        *_, o, _, _, tanh = kept
        return g.op("Mul", o, tanh), *last, *kept
    if is_gru:
        *_, n, _, old = kept
        return g.op("Add", n, old), *last, *kept
    return kept[0], *last


@lowers(BACKWARD)
def recurrent_grad(node: Node, g: Graph) -> tuple[Value, ...]:
    """RecurrentGrad([dy T×N×H], r, [dh], [dc], factors…) → gradients of the products and first states, a GRU's dh."""
    dy, r, dh, dc, *factors = node.inputs
    kind = node.attributes["kind"].decode()
    size = int(node.input_shape(1)[1])

    def zeros() -> Value:
        return g.op(
            "ConstantOfShape", g.op("Concat", g.op("Shape", factors[0], start=1, end=2), g.ints([size]), axis=0)
        )

    states = [value or zeros() for value in ([dh, dc] if kind == "LSTM" else [dh])]
    cell = _Cell(r, "", size)
    scanned = [*factors, *([dy] if dy else [])]
    first, kept = _scan(g, _BACK[kind], cell, states, scanned, not node.attributes["reverse"])
    return kept[0], *first, *kept[1:]


def _scan(
    g: Graph,
    step: _Step,
    cell: _Cell,
    states: _Values,
    scanned: _Values,
    reverse: bool,
) -> tuple[_Values, _Values]:
    """Writes a Scan; returns the last states, and what is kept by step."""
    body = g.body()
    old, parts = ([body.name(wish) for _ in values] for wish, values in (("state", states), ("step", scanned)))
    new, kept = step(body, cell, old, parts)
    # Each output of a body is a value of its own.
    outputs = [*new, *(body.op("Identity", value) if value in (*new, *old) else value for value in kept)]
    given, returned = ([_info(name) for name in names] for names in ([*old, *parts], outputs))
    graph = helper.make_graph(body.nodes, body.name("body"), given, returned)
    direction = int(reverse)
    made = g.ops(
        "Scan",
        *states,
        *scanned,
        outputs=len(outputs),
        body=graph,
        num_scan_inputs=len(scanned),
        scan_input_directions=[direction] * len(scanned),
        scan_output_directions=[direction] * len(kept),
    )
    return made[: len(new)], made[len(new) :]


def _info(name: Value) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)


def _rnn(activation: str) -> _Step:
    def step(g: Graph, cell: _Cell, states: _Values, scanned: _Values) -> tuple[_Values, _Values]:
        """H = f(x + h R). Elman, 1990."""
        h = g.op(activation, g.op("Gemm", states[0], cell.r, scanned[0]))
        return [h], [h]

    return step


def _lstm(g: Graph, cell: _Cell, states: _Values, scanned: _Values) -> tuple[_Values, _Values]:
    """The next c = f c + i g and h = o tanh(c); i, f, o = σ(…), g = tanh(…). Gers et al., 2000."""
    h, c = states
    gates = g.op("Gemm", h, cell.r, scanned[0])
    i, f, inner, outer = g.ops("Split", gates, outputs=4, axis=1)
    i, f, inner, outer = g.op("Sigmoid", i), g.op("Sigmoid", f), g.op("Tanh", inner), g.op("Sigmoid", outer)
    new, old = g.op("Mul", i, inner), g.op("Mul", f, c)
    c = g.op("Add", old, new)
    tanh = g.op("Tanh", c)
    return [g.op("Mul", outer, tanh), c], [i, f, inner, outer, new, old, tanh]


def _gru(g: Graph, cell: _Cell, states: _Values, scanned: _Values) -> tuple[_Values, _Values]:
    """The next h = n + z (h − n); r, z = σ(…), n = tanh(x + r (h R + b)). Cho et al., 2014, as cuDNN has it."""
    h, (of_both, of_candidate) = states[0], scanned
    products = g.op("Gemm", h, cell.r, *([cell.bias] if cell.bias else []))
    first, second = g.ops("Split", products, g.ints([2 * cell.size, cell.size]), outputs=2, axis=1)
    both = g.op("Sigmoid", g.op("Add", of_both, first))
    r, z = g.ops("Split", both, outputs=2, axis=1)
    reset = g.op("Mul", r, second)
    n = g.op("Tanh", g.op("Add", of_candidate, reset))
    old = g.op("Mul", z, g.op("Sub", h, n))
    return [g.op("Add", n, old)], [r, z, n, reset, old]


# The gradients that `arithmetic/recurrent.py` says, of one step.


def _with(g: Graph, dh: Value, dy: _Values) -> Value:
    return g.op("Add", dh, dy[0]) if dy else dh


def _rnn_back(g: Graph, cell: _Cell, states: _Values, scanned: _Values) -> tuple[_Values, _Values]:
    factor, *dy = scanned
    products = g.op("Mul", _with(g, states[0], dy), factor)
    return [g.op("MatMul", products, cell.r)], [products]


def _lstm_back(g: Graph, cell: _Cell, states: _Values, scanned: _Values) -> tuple[_Values, _Values]:
    factor, of_cell, forget, *dy = scanned
    dh = _with(g, states[0], dy)
    dc = g.op("Add", g.op("Mul", dh, of_cell), states[1])
    products = g.op("Mul", g.op("Concat", dc, dc, dc, dh, axis=1), factor)
    return [g.op("MatMul", products, cell.r), g.op("Mul", dc, forget)], [products]


def _gru_back(g: Graph, cell: _Cell, states: _Values, scanned: _Values) -> tuple[_Values, _Values]:
    factor, z, *dy = scanned
    dh = _with(g, states[0], dy)
    products = g.op("Mul", g.op("Concat", dh, dh, dh, axis=1), factor)
    return [g.op("Gemm", products, cell.r, g.op("Mul", dh, z))], [products, dh]


_STEPS: Mapping[str, _Step] = {"RNN_TANH": _rnn("Tanh"), "RNN_RELU": _rnn("Relu"), "LSTM": _lstm, "GRU": _gru}
_BACK: Mapping[str, _Step] = {"RNN_TANH": _rnn_back, "RNN_RELU": _rnn_back, "LSTM": _lstm_back, "GRU": _gru_back}
