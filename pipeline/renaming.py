"""A value of an ONNX graph under another name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def rename(model: onnx.ModelProto, old: str, new: str) -> None:
    """Renames a value wherever the graph of `model` names it, but for initializers."""
    graph = model.graph
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for info in (*graph.input, *graph.output, *graph.value_info):
        info.name = new if info.name == old else info.name
