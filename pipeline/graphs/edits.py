"""Changes to an ONNX graph in place."""

from __future__ import annotations

from collections.abc import Iterable
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


def replace_nodes(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Gives `graph` these nodes in this order; some of them may be its own."""
    # Copied first: its own end with it.
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
