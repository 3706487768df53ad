"""A value as it is, but not before another one is there."""

from __future__ import annotations

from onnx import TensorProto

from pipeline.graphs.graph import Graph, Value
from pipeline.graphs.node import Node
from pipeline.lowering.convolutions.layout import batch_first, batch_last, is_batch_last, order_of
from pipeline.lowering.rules.registry import lowers

LATER = "Later"


@lowers(LATER)
def later(node: Node, g: Graph) -> Value:
    """Later(x, other) → x, whatever other is."""
    x, other = node.inputs
    if not is_batch_last(g, x):
        return _after(g, x, other)
    order = order_of(g, x)
    return batch_first(g, _after(g, batch_last(g, x, order), other), order)


def _after(g: Graph, x: Value, other: Value) -> Value:
    # Nothing of the other value in the shape: the runtime has to wait for it, and no numbers move.
    nothing = g.op("Slice", g.op("Reshape", other, g.ints([-1])), g.ints([0]), g.ints([0]))
    shape = g.op("Concat", g.op("Shape", x), g.op("Cast", nothing, to=TensorProto.INT64), axis=0)
    return g.op("Reshape", x, shape)
