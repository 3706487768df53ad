"""Changes to an ONNX graph in place."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

# Begins the names of the nodes that `keep_constant` writes.
CONSTANT = "constant/"


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


def keep_constant(model: onnx.ModelProto, names: Collection[str]) -> None:
    """Turns initializers, which train unless the recipe says otherwise, into constants."""
    from onnx import helper

    for tensor in [tensor for tensor in model.graph.initializer if tensor.name in names]:
        node = helper.make_node("Constant", [], [tensor.name], name=f"{CONSTANT}{tensor.name}", value=tensor)
        model.graph.node.insert(0, node)
        model.graph.initializer.remove(tensor)


def kept_constants(model: onnx.ModelProto) -> list[str]:
    """Names of what has been turned into constants."""
    nodes = (node for node in model.graph.node if CONSTANT in node.name)
    return [node.output[0] for node in nodes]
