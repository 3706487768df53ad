"""Where several values are the maximum, the first of them takes the gradient, as in torch and onnxruntime-training."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.graphs.graph import Graph, Value


def to_first_maximum(g: Graph, gradient: Value, values: Sequence[Value], maximum: Value) -> list[Value]:
    """Gives the gradient to the first value that is the maximum, element by element; the last takes what is left."""
    parts: list[Value] = []
    for value in values[:-1]:
        parts.append(g.mask(g.op("Equal", value, maximum), gradient))
        gradient = g.op("Sub", gradient, parts[-1])
    return [*parts, gradient]
