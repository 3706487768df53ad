"""Gradients of activations, and the bookkeeping operators of the training graph."""

from __future__ import annotations

from pipeline.lowering.graph import Graph, Value
from pipeline.lowering.rules import Node, lowers


@lowers("ReluGrad")
def relu_grad(node: Node, g: Graph) -> Value:
    """ReluGrad(dy, y) → dx: dy where the output (or the input, the sign is the same) is above 0."""
    dy, y = node.inputs
    return g.op("Where", g.op("Greater", y, g.floats(0.0)), dy, g.floats(0.0))


@lowers("Identity")
def identity(node: Node, g: Graph) -> Value:
    """Identity(x) → x, without a node."""
    return node.inputs[0]


@lowers("InPlaceAccumulatorV2")
def in_place_accumulator(node: Node, g: Graph) -> Value:
    """InPlaceAccumulatorV2(buffer, gradient, reset) → gradient: the step consumes each gradient at once."""
    return node.inputs[1]
