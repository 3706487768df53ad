"""When the runtime computes what."""

from __future__ import annotations

import onnx
from onnx import helper

from pipeline.graphs.execution_order import asked_for_in_order


def test_gradients_of_later_layers_are_asked_for_first() -> None:
    ordered = asked_for_in_order(_backward(layers=3))
    # The runtime begins with the last node that nothing reads.
    results = [node.output[0] for node in ordered if node.output[0].startswith("dw")]
    assert results[::-1] == ["dw3", "dw2", "dw1"]


def test_each_node_stands_behind_what_it_reads() -> None:
    made = {"x", "dy"}
    for node in asked_for_in_order(_backward(layers=5)):
        assert made.issuperset(node.input)
        made.update(node.output)


def test_what_a_branch_reads_counts_as_read() -> None:
    branch = helper.make_graph([helper.make_node("Neg", ["a"], ["b"])], "branch", [], [])
    nodes = [helper.make_node("Abs", ["x"], ["a"]), helper.make_node("If", ["c"], ["y"], then_branch=branch)]
    assert [node.op_type for node in asked_for_in_order(nodes)] == ["Abs", "If"]


def _backward(layers: int) -> list[onnx.NodeProto]:
    """A chain of layers, each with a gradient of its own, written from the last to the first as torch does."""
    nodes = [helper.make_node("Abs", ["x"], ["y"]), helper.make_node("Mul", ["y", "dy"], [f"dx{layers}"])]
    for layer in range(layers, 0, -1):
        nodes.append(helper.make_node("Neg", [f"dx{layer}"], [f"dx{layer - 1}"]))
        nodes.append(helper.make_node("Abs", [f"dx{layer}"], [f"dw{layer}"]))
    return nodes
