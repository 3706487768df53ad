"""Losses and their gradients; `reduction` is 0 for none, 1 for the mean, 2 for the sum."""

from __future__ import annotations

import numpy as np

from pipeline.capture.joint.operators.call import Call, Tensor, UntranslatedError, Writer, translates
from pipeline.graphs.graph import Value


def _labels(call: Call, g: Writer) -> Value:
    """float32 N×K, 1 at the label."""
    scores: Tensor = call["self"]
    if call["weight"] is not None or scores.rank != 2:
        raise UntranslatedError("with class weights, or for each pixel")
    classes = g.ints(scores.static(1))
    return g.op("OneHot", call["target"].value, classes, g.constant([0, 1], np.float32), axis=1)


def _reduced(call: Call, g: Writer, losses: Value) -> Value:
    if not call["reduction"]:
        return losses
    return g.op("ReduceMean" if call["reduction"] == 1 else "ReduceSum", losses, keepdims=0)


@translates("nll_loss_forward")
def nll_loss(call: Call, g: Writer) -> tuple[Value, ...]:
    """nll_loss_forward(self, target, weight, reduction, ignore_index) → loss, how many count; labels are all valid."""
    picked = g.sum(g.op("Mul", call["self"].value, _labels(call, g)), [1])
    return g.op("Neg", _reduced(call, g, picked)), g.op(
        "Cast", g.op("Squeeze", g.op("Shape", call["target"].value)), to=1
    )


@translates("nll_loss_backward")
def nll_loss_backward(call: Call, g: Writer) -> Value:
    """nll_loss_backward(grad_output, self, target, weight, reduction, ignore_index, total_weight)."""
    gradient = call["grad_output"].value
    if call["reduction"] == 1:
        gradient = g.op("Div", gradient, call["total_weight"].value)
    if not call["reduction"]:
        gradient = g.op("Unsqueeze", gradient, g.ints([1]))
    return g.op("Mul", _labels(call, g), g.op("Neg", gradient))


@translates("binary_cross_entropy_with_logits")
def binary_cross_entropy_with_logits(call: Call, g: Writer) -> Value:
    """binary_cross_entropy_with_logits(self, target, weight, pos_weight, reduction) → softplus(z) − target × z."""
    if call["weight"] is not None or call["pos_weight"] is not None:
        raise UntranslatedError("with weights")
    z = call["self"].value
    positive = g.op("Relu", z)
    small = g.op("Exp", g.op("Neg", g.op("Abs", z)))
    softplus = g.op("Add", positive, g.op("Log", g.op("Add", small, g.floats(1.0))))
    losses = g.op("Sub", softplus, g.op("Mul", call["target"].value, z))
    return _reduced(call, g, losses)


@translates("mse_loss")
def mse_loss(call: Call, g: Writer) -> Value:
    """mse_loss(self, target, reduction)."""
    difference = g.op("Sub", call["self"].value, call["target"].value)
    return _reduced(call, g, g.op("Mul", difference, difference))


@translates("mse_loss_backward")
def mse_loss_backward(call: Call, g: Writer) -> Value:
    """mse_loss_backward(grad_output, self, target, reduction)."""
    difference = g.op("Sub", call["self"].value, call["target"].value)
    gradient = g.op("Mul", g.op("Mul", difference, g.floats(2.0)), call["grad_output"].value)
    if call["reduction"] != 1:
        return gradient
    return g.op("Div", gradient, g.op("Cast", g.op("Size", call["self"].value), to=1))
