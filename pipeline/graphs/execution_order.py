"""The order of a graph's nodes, by which the runtime decides when it computes what.

ONNX Runtime goes back from the nodes that nothing reads, from the last in the file to the first, and computes what each
needs just before it; so it does with what one node reads. Written as they come, the gradient of the first layer is the
first to be asked for: the whole backward pass runs, and every other gradient waits for its end, with all that it is
made of kept in memory and gone from the cache.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from pipeline.graphs.bodies import values_read


def asked_for_in_order(nodes: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """The nodes of a graph so that each result is computed as soon as what it is made of is there.

    Args:
      nodes: in an order in which they can be computed one after another.

    Returns:
      From what most is made of to what nothing is made of. Of results, that made of least is the last, the first to be
      asked for: of gradients, that of the last layer.
    """
    made_by = {name: place for place, node in enumerate(nodes) for name in node.output if name}
    sources = [{made_by[name] for name in values_read(node) if name in made_by} for node in nodes]
    # Sets of places as bits.
    before, behind = [0] * len(nodes), [0] * len(nodes)
    for place in range(len(nodes)):
        for source in sources[place]:
            before[place] |= before[source] | 1 << source
    for place in reversed(range(len(nodes))):
        for source in sources[place]:
            behind[source] |= behind[place] | 1 << place
    places = sorted(
        range(len(nodes)), key=lambda place: (-behind[place].bit_count(), -before[place].bit_count(), -place)
    )
    return [nodes[place] for place in places]
