"""Activations that are computed again in the backward pass instead of kept.

The forward pass is cut into segments where a single value leads from one to the next. Those values are kept; of all
segments but the last the forward pass is written a second time, before the first operator of the backward pass that
reads one of its values. Chen et al., "Training deep nets with sublinear memory cost" (2016), arXiv:1604.06174.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import onnx
from onnx import helper

from pipeline.graphs.edits import replace_nodes
from pipeline.graphs.graph import Shape, needed
from pipeline.graphs.names import FEATURES, IMAGE
from pipeline.graphs.reading import shapes_of
from pipeline.lowering.network import Network
from pipeline.lowering.rules.later import LATER

# Behind the name of a value that is computed a second time.
_AGAIN = "/again"

# The share of what is kept without cuts that has to be left for them to be made.
_WORTH = 0.9

# Nodes that lie one after another.
_Segment = Sequence[onnx.NodeProto]


def recomputed(network: Network) -> Network:
    """The same network with a training graph that keeps less; as it is where nothing can be cut."""
    graph = network.training.graph
    forward = _Forward.of(network)
    segments = forward.segments()
    # The last part's values are read as soon as they are there.
    made_in = {name: place for place, part in enumerate(segments[:-1]) for node in part for name in node.output if name}
    begun: set[int] = set()
    again: dict[str, str] = {}
    nodes: list[onnx.NodeProto] = []
    made_backward: dict[str, None] = {}
    for node in graph.node:
        if node.output[0] in forward.values:
            nodes.append(node)
            continue
        for place in (made_in[name] for name in node.input if name in made_in):
            # The gradient that comes to this part; or else what was computed last before it is needed.
            arrived = [name for name in node.input if name in made_backward] or list(made_backward)[-1:]
            if arrived and place not in begun:
                nodes.extend(_second_time(segments[place], forward, arrived[0], again))
            begun.add(place)
        nodes.append(_renamed(node, again))
        made_backward.update(dict.fromkeys(name for name in node.output if name))
    training = onnx.ModelProto()
    training.CopyFrom(network.training)
    replace_nodes(training.graph, nodes)
    shapes = {new: forward.shapes[old] for old, new in again.items() if old in forward.shapes}
    return replace(network, training=training, shapes={**network.shapes, **shapes})


@dataclass(frozen=True)
class _Forward:
    """The part of a training graph that no gradient enters.

    Attributes:
      nodes: those whose values depend on the batch, in their order.
      values: names of everything that is computed without a gradient.
      read_backward: names of the values that the backward pass reads.
      of_batch: names of the values that depend on the batch, and of its own.
      starts: names of the batch's own values.
      shapes: of values, as far as they are known.
    """

    nodes: Sequence[onnx.NodeProto]
    values: Collection[str]
    read_backward: Collection[str]
    of_batch: Collection[str]
    starts: Collection[str]
    shapes: Mapping[str, Shape]

    @classmethod
    def of(cls, network: Network) -> _Forward:
        """Finds it."""
        graph = network.training.graph
        forward = needed(graph.node, [network.loss, *network.renewed.values()])
        values = {name for node in forward for name in node.output if name}
        starts = {info.name for info in graph.input if info.name in (IMAGE, FEATURES)}
        of_batch, nodes = set(starts), []
        for node in forward:
            if of_batch.intersection(node.input):
                nodes.append(node)
                of_batch.update(name for name in node.output if name)
        backward = (node for node in graph.node if node.output[0] not in values)
        read = {name for node in backward for name in node.input}
        return cls(nodes, values, read, of_batch, starts, {**network.shapes, **shapes_of(network.training)})

    def segments(self) -> list[_Segment]:
        """The nodes in the parts for which least is kept at once; one where nothing can be cut."""
        cuts = self._cuts()
        kept = [sum(self._size(name) for name in node.output if name in self.read_backward) for node in self.nodes]
        best, least = [0, len(self.nodes)], _WORTH * sum(kept)
        for most in sorted({sum(kept) // parts for parts in range(1, len(cuts) + 2)}):
            bounds, total = [0], 0
            for place in cuts:
                if sum(kept[bounds[-1] : place]) >= most:
                    bounds.append(place)
                    total += cuts[place]
            bounds.append(len(self.nodes))
            total += max(sum(kept[start:end]) for start, end in pairwise(bounds))
            if total < least:
                best, least = bounds, total
        return [list(self.nodes[start:end]) for start, end in pairwise(best)]

    def _cuts(self) -> dict[int, int]:
        """Places before which a single value is handed on, and the size of that value."""
        last_reader = {name: place for place, node in enumerate(self.nodes) for name in node.input}
        alive: set[str] = set(self.starts)
        cuts: dict[int, int] = {}
        for place, node in enumerate(self.nodes):
            alive = {name for name in alive if last_reader.get(name, -1) >= place}
            if place and len(alive) == 1:
                cuts[place] = self._size(next(iter(alive)))
            alive.update(name for name in node.output if name)
        return cuts

    def _size(self, name: str) -> int:
        """Elements of a value for one image; 0 where unknown."""
        shape = self.shapes.get(name)
        return math.prod(size for size in shape if isinstance(size, int)) if shape else 0


def _second_time(segment: _Segment, forward: _Forward, waits_for: str, again: dict[str, str]) -> list[onnx.NodeProto]:
    """The nodes of a segment once more, after `waits_for` is there; notes in `again` what their values are called."""
    inside = {name for node in segment for name in node.output if name}
    nodes: list[onnx.NodeProto] = []
    for name in dict.fromkeys(name for node in segment for name in node.input):
        if name in forward.of_batch and name not in inside:
            again[name] = f"{name}{_AGAIN}"
            nodes.append(helper.make_node(LATER, [name, waits_for], [again[name]], name=again[name]))
    again.update({name: f"{name}{_AGAIN}" for name in inside})
    for node in segment:
        copy = _renamed(node, again)
        # Its own name: what is drawn at random follows from it.
        copy.output[:] = [again.get(name, "") for name in node.output]
        nodes.append(copy)
    return nodes


def _renamed(node: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    renamed = onnx.NodeProto()
    renamed.CopyFrom(node)
    renamed.input[:] = [names.get(name, name) for name in node.input]
    return renamed
