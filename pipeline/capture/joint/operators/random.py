"""Random numbers: drawn from the node, the step and the element, so that a resumed training draws the same."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.capture.joint.operators.call import Call, Writer, translates
from pipeline.capture.joint.operators.shape import sizes_of
from pipeline.graphs.graph import Value

# Random operators of a translated graph; an inference model has none of them.
RANDOM = frozenset({"CounterUniform", "CounterNormal", "CounterBernoulli", "Dropout"})


@translates("native_dropout")
def dropout(call: Call, g: Writer) -> tuple[Value, ...]:
    """native_dropout(input, p, train) → output, mask."""
    x = call["input"].value
    if call["train"] is False or call["p"] == 0:
        return x, g.op("Expand", g.constant(True, np.bool_), g.op("Shape", x))
    if call["p"] == 1:
        return g.op("Mul", x, g.floats(0.0)), g.op("Expand", g.constant(False, np.bool_), g.op("Shape", x))
    return g.ops("Dropout", x, g.floats(float(call["p"])), g.constant(True, np.bool_), outputs=2)


@translates("native_dropout_backward")
def dropout_backward(call: Call, g: Writer) -> Value:
    """native_dropout_backward(grad_output, mask, scale)."""
    scaled = g.op("Mul", call["grad_output"].value, g.floats(float(call["scale"])))
    return g.op("Where", call["mask"].value, scaled, g.floats(0.0))


@translates("rand", "rand_like", "uniform")
def uniform(call: Call, g: Writer) -> Value:
    """rand(size), rand_like(self): from 0 to 1; uniform(self, from=0, to=1)."""
    low, high = float(call.get("from", 0.0)), float(call.get("to", 1.0))
    value = g.op("CounterUniform", g.sizes(sizes_of(call.result)))
    if (low, high) == (0.0, 1.0):
        return value
    return g.op("Add", g.op("Mul", value, g.floats(high - low)), g.floats(low))


@translates("randn", "randn_like", "normal_functional")
def normal(call: Call, g: Writer) -> Value:
    """randn(size), randn_like(self); normal_functional(self, mean=0, std=1)."""
    value = g.op("CounterNormal", g.sizes(sizes_of(call.result)))
    mean, std = float(call.get("mean", 0.0)), float(call.get("std", 1.0))
    if (mean, std) == (0.0, 1.0):
        return value
    return g.op("Add", g.op("Mul", value, g.floats(std)), g.floats(mean))


@translates("bernoulli")
def bernoulli(call: Call, g: Writer) -> Value:
    """bernoulli(self): 1 with the probability that self is; bernoulli(self, p)."""
    probability = call.get("p")
    chance = call["self"].value
    if probability is not None:
        chance = g.op("Expand", g.operand(probability, torch.float32), g.sizes(sizes_of(call.result)))
    return g.cast(g.op("CounterBernoulli", chance), call.result.dtype)
