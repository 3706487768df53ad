"""Recurrent layers, of `arithmetic/recurrent.py`."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.capture.joint.operators.call import Call, Tensor, UntranslatedError, Writer, translates
from pipeline.graphs.graph import Value
from pipeline.graphs.recurrence import BACKWARD, FORWARD

# Of each cell the standard's operator, its activations, and the places of its gates in torch's order.
_STANDARD = {
    "RNN_TANH": ("RNN", ("Tanh",), (0,)),
    "RNN_RELU": ("RNN", ("Relu",), (0,)),
    "LSTM": ("LSTM", ("Sigmoid", "Tanh", "Tanh"), (0, 3, 1, 2)),
    "GRU": ("GRU", ("Sigmoid", "Tanh"), (1, 0, 2)),
}


@translates("train_on_device.recurrent")
def recurrent(call: Call, g: Writer) -> tuple[Value, ...]:
    """recurrent(x, w, r, wb, rb, state, kind, reverse) → y, last states, and what the backward pass reads."""
    states: Sequence[Tensor] = call["state"]
    if not any(isinstance(size, int) for size in call["x"].shape[:2]):
        raise UntranslatedError("whose steps and images both depend on the batch: give it a fixed number of either")
    if not any(call.wanted[1 + len(states) :]):
        return _standard(call, g, states)
    tensors = [call[name] for name in ("x", "w", "r", "wb", "rb")]
    values = [tensor.value if tensor else "" for tensor in (*tensors, *states)]
    return g.ops(FORWARD, *values, outputs=len(call.results), kind=call["kind"], reverse=int(call["reverse"]))


def _standard(call: Call, g: Writer, states: Sequence[Tensor]) -> tuple[Value, ...]:
    """As the standard's operator, with one direction."""
    op_type, activations, order = _STANDARD[call["kind"]]
    w, r = (g.op("Unsqueeze", _in_order(g, call[name].value, order), g.ints([0])) for name in ("w", "r"))
    biases = [_in_order(g, call[name].value, order) for name in ("wb", "rb") if call[name]]
    b = g.op("Unsqueeze", g.op("Concat", *biases, axis=0), g.ints([0])) if biases else ""
    first = [g.op("Unsqueeze", state.value, g.ints([0])) for state in states]
    y, *last = g.ops(
        op_type,
        *(call["x"].value, w, r, b, "", *first),
        outputs=1 + len(states),
        hidden_size=call["r"].static(1),
        direction="reverse" if call["reverse"] else "forward",
        activations=activations,
        **({"linear_before_reset": 1} if op_type == "GRU" else {}),
    )
    return g.op("Squeeze", y, g.ints([1])), *(g.op("Squeeze", value, g.ints([0])) for value in last)


def _in_order(g: Writer, value: Value, order: Sequence[int]) -> Value:
    if len(order) == 1:
        return value
    parts = g.ops("Split", value, outputs=len(order), axis=0)
    return g.op("Concat", *(parts[place] for place in order), axis=0)


@translates("train_on_device.recurrent_backward")
def recurrent_backward(call: Call, g: Writer) -> tuple[Value, ...]:
    """recurrent_backward(dy, r, factors, dh, dc, kind, reverse) → gradients of the products and of the first states."""
    given = [call[name].value if call[name] else "" for name in ("dy", "r", "dh", "dc")]
    values = [*given, *(factor.value for factor in call["factors"])]
    return g.ops(BACKWARD, *values, outputs=len(call.results), kind=call["kind"], reverse=int(call["reverse"]))
