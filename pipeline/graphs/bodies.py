"""What a node reads and writes, also inside the graphs of its attributes: the body of a Scan, the branches of an If."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def bodies_of(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs of a node's attributes."""
    import onnx

    return (attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH)


def values_read(node: onnx.NodeProto) -> list[str]:
    """Names of what a node reads; of its bodies also what is their own."""
    return [*node.input, *(name for body in bodies_of(node) for child in body.node for name in values_read(child))]


def rename_values(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    """Renames what a node reads and writes, and what its bodies read of the graph around them."""
    node.input[:] = [names.get(name, name) for name in node.input]
    node.output[:] = [names.get(name, name) for name in node.output]
    for body in bodies_of(node):
        for child in body.node:
            rename_values(child, names)
