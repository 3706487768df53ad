"""What an ONNX graph says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.graphs.graph import Shape

if TYPE_CHECKING:
    import onnx


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the ONNX standard that a model is written in."""
    return next((int(opset.version) for opset in model.opset_import if opset.domain in ("", "ai.onnx")), 0)


def shapes_of(model: onnx.ModelProto) -> dict[str, Shape]:
    """Static shapes of the values of a graph, as far as it tells them; a str is a symbolic size."""
    shapes: dict[str, Shape] = {}
    graph = model.graph
    for info in [*graph.input, *graph.value_info, *graph.output]:
        if info.type.tensor_type.HasField("shape"):
            sizes = info.type.tensor_type.shape.dim
            shapes[info.name] = tuple(d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in sizes)
    shapes.update({tensor.name: tuple(tensor.dims) for tensor in graph.initializer})
    return shapes


def read_values(model: onnx.ModelProto) -> set[str]:
    """Names of the values that an operator of the graph reads, or that it returns."""
    read = {output.name for output in model.graph.output}
    read.update(name for node in model.graph.node for name in node.input)
    return read
