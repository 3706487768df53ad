"""Softmax and its gradients."""

from __future__ import annotations

from pipeline.capture.joint.operators.call import Call, Writer, translates
from pipeline.graphs.graph import Value


@translates("_softmax", "_log_softmax")
def softmax(call: Call, g: Writer) -> Value:
    """_softmax(self, dim, half_to_float), _log_softmax."""
    axis = call.axis("dim", call["self"])
    return g.op("Softmax" if call.name == "_softmax" else "LogSoftmax", call["self"].value, axis=axis)


@translates("_safe_softmax")
def safe_softmax(call: Call, g: Writer) -> Value:
    """_safe_softmax(self, dim): 0 where a whole row is −∞, which only a mask can make it."""
    x = call["self"]
    y = g.op("Softmax", x.value, axis=call.axis("dim", x))
    if g.made_by(x.value) not in ("Add", "Where"):
        return y
    return g.op("Where", g.op("IsNaN", y), g.floats(0.0), y)


@translates("_softmax_backward_data", "_log_softmax_backward_data")
def softmax_backward(call: Call, g: Writer) -> Value:
    """_softmax_backward_data(grad_output, output, dim, input_dtype), _log_softmax_backward_data."""
    kind = "SoftmaxGrad_13" if call.name == "_softmax_backward_data" else "LogSoftmaxGrad_13"
    gradient, output = call["grad_output"], call["output"]
    return g.op(kind, gradient.value, output.value, axis=call.axis("dim", output))
