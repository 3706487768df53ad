"""Losses and their gradients; `reduction` is 0 for none, 1 for the mean, 2 for the sum."""

from __future__ import annotations

import numpy as np

from pipeline.capture.joint.operators.call import Call, Tensor, Writer, translates
from pipeline.graphs.graph import Value
from pipeline.graphs.names import LABELS


def _labels(call: Call, g: Writer) -> tuple[Value, bool]:
    """float32 of the scores' shape, the weight of its class at the label and 0 at all others; whether each is 1."""
    scores: Tensor = call["self"]
    target, axis = call["target"].value, min(scores.rank - 1, 1)
    count = scores.static(axis)
    # The dataset's classes are valid, all of them; a position may have none.
    valid = target == LABELS and scores.rank == 2
    if not valid:
        ignored = g.op("Equal", target, g.ints(int(call["ignore_index"])))
        target = g.op("Where", ignored, g.ints(-count - 1), target)
    chosen = g.op("OneHot", target, g.ints(count), g.constant([0, 1], np.float32), axis=axis)
    if not call["weight"]:
        return chosen, valid
    shape = [-1 if place == axis else 1 for place in range(scores.rank)]
    return g.op("Mul", chosen, g.op("Reshape", call["weight"].value, g.ints(shape))), False


def _reduced(call: Call, g: Writer, losses: Value) -> Value:
    if not call["reduction"]:
        return losses
    return g.op("ReduceMean" if call["reduction"] == 1 else "ReduceSum", losses, keepdims=0)


@translates("nll_loss_forward", "nll_loss2d_forward")
def nll_loss(call: Call, g: Writer) -> tuple[Value, ...]:
    """nll_loss_forward(self, target, weight, reduction, ignore_index) → loss, the sum of the weights that count."""
    labels, alike = _labels(call, g)
    picked = g.sum(g.op("Mul", call["self"].value, labels), [min(call["self"].rank - 1, 1)])
    if alike:
        return g.op("Neg", _reduced(call, g, picked)), g.op("Cast", g.op("Squeeze", g.op("Shape", LABELS)), to=1)
    total = g.op("ReduceSum", labels, keepdims=0)
    if call["reduction"]:
        picked = g.op("ReduceSum", picked, keepdims=0)
    if call["reduction"] == 1:
        picked = g.op("Div", picked, total)
    return g.op("Neg", picked), total


@translates("nll_loss_backward", "nll_loss2d_backward")
def nll_loss_backward(call: Call, g: Writer) -> Value:
    """nll_loss_backward(grad_output, self, target, weight, reduction, ignore_index, total_weight)."""
    gradient = call["grad_output"].value
    if call["reduction"] == 1:
        gradient = g.op("Div", gradient, call["total_weight"].value)
    if not call["reduction"]:
        gradient = g.op("Unsqueeze", gradient, g.ints([min(call["self"].rank - 1, 1)]))
    return g.op("Mul", _labels(call, g)[0], g.op("Neg", gradient))


@translates("binary_cross_entropy_with_logits")
def binary_cross_entropy_with_logits(call: Call, g: Writer) -> Value:
    """binary_cross_entropy_with_logits(self, target, weight, pos_weight, reduction).

    → softplus(z) − target × z; with weights of the positive ones, (1 − target) × z + share × softplus(−z), the share
    being 1 + (pos_weight − 1) × target.
    """
    z, target = call["self"].value, call["target"].value
    small = g.op("Log", g.op("Add", g.op("Exp", g.op("Neg", g.op("Abs", z))), g.floats(1.0)))
    if call["pos_weight"]:
        softplus = g.op("Add", g.op("Relu", g.op("Neg", z)), small)
        more = g.op("Mul", g.op("Sub", call["pos_weight"].value, g.floats(1.0)), target)
        share = g.op("Mul", g.op("Add", more, g.floats(1.0)), softplus)
        losses = g.op("Add", g.op("Mul", g.op("Sub", g.floats(1.0), target), z), share)
    else:
        softplus = g.op("Add", g.op("Relu", z), small)
        losses = g.op("Sub", softplus, g.op("Mul", target, z))
    if call["weight"]:
        losses = g.op("Mul", losses, call["weight"].value)
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
