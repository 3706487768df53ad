"""Which buffers of a module its forward pass renews, by torch's graphs of it."""

from __future__ import annotations

import torch
from torch.fx import Node

from device_runtime.formats.steps import RENEWED
from pipeline.capture.joint.trace import Traced
from pipeline.errors import ModelError, brief
from pipeline.graphs.names import IMAGE

aten = torch.ops.aten
# What gives a tensor as it is.
_THE_SAME = (aten.clone.default, aten.detach.default, aten.alias.default, aten.copy.default, aten._to_copy.default)


def renewed_buffers(traced: Traced) -> list[str]:
    """Names of the buffers that a training changes, but for those of norms that only count: nothing else reads them."""
    return [
        name
        for name in _renewed(traced)
        if not name.endswith("num_batches_tracked") or _readers(traced, name) - {f"{RENEWED}{name}"}
    ]


def check_evaluation(trained: Traced, evaluated: Traced) -> None:
    """Refuses buffers that evaluation changes, too: here evaluating leaves a model as it is.

    What evaluation makes anew and nobody reads, or makes of sizes alone, is no matter.

    Raises:
      ModelError: there are such.
    """
    changed = []
    for name in _renewed(evaluated):
        result = evaluated.results[f"{RENEWED}{name}"]
        is_changed = result in _reached(evaluated.given[IMAGE]) | _reached(evaluated.given[name])
        if is_changed and _origin(result) is not evaluated.given[name]:
            changed += [name] if _readers(trained, name) | _readers(evaluated, name) else []
    if changed:
        raise ModelError(
            f"forward changes buffers in evaluation too, which leaves a model as it is: {brief(changed, 5)}; guard it "
            "by self.training"
        )


def _renewed(traced: Traced) -> list[str]:
    return [result.removeprefix(RENEWED) for result in traced.results if result.startswith(RENEWED)]


def _readers(traced: Traced, name: str) -> set[str]:
    """The results that depend on a value that is given."""
    if name not in traced.given:
        return set()
    reached = _reached(traced.given[name])
    return {result for result, value in traced.results.items() if value in reached}


def _reached(start: Node) -> set[Node]:
    reached, left = {start}, [start]
    while left:
        node = left.pop()
        # Of what is written over nothing but the size is read.
        users = {user for user in node.users if user.target is not aten.copy.default or user.args[1] is node}
        left += users - reached
        reached |= users
    return reached


def _origin(node: Node) -> Node:
    while node.target in _THE_SAME:
        source = node.args[1 if node.target is aten.copy.default else 0]
        assert isinstance(source, Node)
        node = source
    return node
