"""Padding and its gradients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.capture.joint.operators.call import Call, Tensor, Writer, translates
from pipeline.graphs.graph import Value


@translates("constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d")
@translates("replication_pad1d", "replication_pad2d", "replication_pad3d")
def pad(call: Call, g: Writer) -> Value:
    """constant_pad_nd(self, pad, value=0), reflection_pad2d(self, padding), replication_pad2d(self, padding)."""
    tensor, value = call["self"], call["self"].value
    if call.name == "constant_pad_nd":
        pads = onnx_pads(call["pad"], tensor.rank)
        return g.op("Pad", value, g.ints(pads), g.number(call["value"], tensor.dtype))
    # As a Gather of each axis, whose gradient is known.
    for axis, order in border_indices(call, tensor).items():
        value = g.op("Gather", value, g.ints(order), axis=axis)
    return str(value)


def onnx_pads(pads: Sequence[int], rank: int) -> list[int]:
    """Torch's padding, from the last axis on, as ONNX has it."""
    before, after = [0] * rank, [0] * rank
    for number, (low, high) in enumerate(zip(pads[::2], pads[1::2], strict=True)):
        before[rank - 1 - number], after[rank - 1 - number] = int(low), int(high)
    return before + after


def border_indices(call: Call, tensor: Tensor) -> dict[int, np.ndarray]:
    """For each axis that is padded by reflection or replication, the index of the pixel that stands at each place."""
    padding = call["padding"]
    mode = "reflect" if call.name.startswith("reflection") else "edge"
    found: dict[int, np.ndarray] = {}
    for number, pair in enumerate(zip(padding[::2], padding[1::2], strict=True)):
        axis = tensor.rank - 1 - number
        if any(pair):
            added, cut = [[max(sign * n, 0) for n in pair] for sign in (1, -1)]
            order = np.pad(np.arange(tensor.static(axis)), added, mode)  # type: ignore[call-overload]
            found[axis] = order[cut[0] : len(order) - cut[1]]
    return found


@translates("reflection_pad1d_backward", "reflection_pad2d_backward", "reflection_pad3d_backward")
@translates("replication_pad1d_backward", "replication_pad2d_backward", "replication_pad3d_backward")
def pad_backward(call: Call, g: Writer) -> Value:
    """reflection_pad2d_backward(grad_output, self, padding): what stands at several places takes all gradients."""
    tensor, value = call["self"], call["grad_output"].value
    for axis, order in border_indices(call, tensor).items():
        size = tensor.static(axis)
        picks = np.zeros((size, len(order)), np.float32)
        picks[order, np.arange(len(order))] = 1
        last = g.op("MatMul", _moved(g, value, tensor.rank, axis), g.floats(picks.T))
        value = _moved(g, last, tensor.rank, axis)
    return str(value)


def _moved(g: Writer, value: Value, rank: int, axis: int) -> Value:
    """The axis and the last one exchanged."""
    order = list(range(rank))
    order[axis], order[-1] = order[-1], order[axis]
    return value if order == sorted(order) else g.op("Transpose", value, perm=order)
