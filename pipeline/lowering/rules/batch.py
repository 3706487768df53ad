"""The size of the batch, which rules ask for."""

from __future__ import annotations

from onnx import TensorProto

from pipeline.graphs.graph import Graph, Value

_BATCH = "batch"


def give_batch(g: Graph, label: Value) -> None:
    """Takes the size from a value with one element for each image, which is there as long as the step."""
    g.remember(_BATCH, (g.op("Cast", g.op("Squeeze", g.op("Shape", label, start=0, end=1)), to=TensorProto.FLOAT),))


def batch_size(g: Graph) -> Value:
    """Images of the batch, float32 scalar."""
    (size,) = g.recall(_BATCH)
    return str(size)
