"""Who reads what in a graph, and which values come from the image, straight or through a layer."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import onnx

# Operators that only move or regroup the numbers of their first input.
MOVES = frozenset(
    ("Identity", "Reshape", "Transpose", "Unsqueeze", "Squeeze", "Cast", "Flatten", "Expand", "Tile", "Slice", "Split")
)
# Operators with weights, or behind which numbers are no longer pixels.
LAYERS = frozenset(
    (
        *("Conv", "ConvTranspose", "Gemm", "MatMul", "FusedMatMul", "Einsum", "Gather", "LSTM", "GRU", "RNN", "PRelu"),
        *("BatchNormalization", "InstanceNormalization", "LayerNormalization", "GroupNormalization"),
        *("ReduceMean", "GlobalAveragePool", "RMSNormalization", "SimplifiedLayerNormalization"),
    )
)


@dataclass(frozen=True)
class Place:
    """Where a value is read: the number of the operator in the graph, and which of its inputs."""

    node: int
    slot: int


class Readers:
    """An index of a graph that does not change.

    Attributes:
      nodes: the operators in their order.
      of: where each value is read.
      producer: the operator that makes a value.
      pixels: values that come from the image by operators without weights alone.
      computed: values that depend on the image.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.nodes = list(graph.node)
        self.of: dict[str, list[Place]] = defaultdict(list)
        self.producer: dict[str, int] = {}
        self.computed = {info.name for info in graph.input}
        self.pixels = set(self.computed)
        for index, node in enumerate(self.nodes):
            for slot, name in enumerate(node.input):
                if name:
                    self.of[name].append(Place(index, slot))
            self.producer.update(dict.fromkeys(node.output, index))
            given = self.computed.intersection(node.input)
            if given:
                self.computed.update(node.output)
                if given <= self.pixels and node.op_type not in LAYERS:
                    self.pixels.update(node.output)

    def maker_of(self, value: str) -> int | None:
        """The number of the operator that makes a value, behind those that only move its numbers."""
        while value in self.producer:
            index = self.producer[value]
            if self.nodes[index].op_type not in MOVES:
                return index
            value = self.nodes[index].input[0]
        return None

    def others(self, place: Place) -> list[str]:
        """The other inputs of the operator at a place."""
        return [name for slot, name in enumerate(self.nodes[place.node].input) if slot != place.slot and name]
