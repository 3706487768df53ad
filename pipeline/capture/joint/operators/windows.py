"""Windows that move along an axis."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.capture.joint.operators.call import Call, Tensor, Writer, translates
from pipeline.capture.joint.operators.shape import sizes_of
from pipeline.graphs.graph import Value


@translates("unfold")
def unfold(call: Call, g: Writer) -> Value:
    """unfold(self, dimension, size, step): the windows at their axis, what is in each last."""
    tensor, axis = call["self"], call.axis("dimension", call["self"])
    places = _places(tensor, axis, int(call["size"]), int(call["step"]))
    windows = g.op("Gather", tensor.value, g.ints(places), axis=axis)
    if axis == tensor.rank - 1:
        return windows
    order = [place for place in range(tensor.rank + 1) if place != axis + 1]
    return g.op("Transpose", windows, perm=[*order, axis + 1])


@translates("unfold_backward")
def unfold_backward(call: Call, g: Writer) -> Value:
    """unfold_backward(grad_in, input_sizes, dim, size, step): what is in several windows receives from each."""
    result, rank = call.result, call.result.rank
    axis, value = call.axis("dim", result), call["grad_in"].value
    places = _places(result, axis, int(call["size"]), int(call["step"]))
    if axis != rank - 1:
        value = g.op("Transpose", value, perm=[*range(axis + 1), rank, *range(axis + 1, rank)])
    return g.op("GatherGrad", g.sizes(sizes_of(result)), g.ints(places), value, axis=axis)


def _places(tensor: Tensor, axis: int, size: int, step: int) -> npt.NDArray[np.int64]:
    """windows×size"""
    starts = np.arange(0, tensor.static(axis) - size + 1, step)
    return starts[:, None] + np.arange(size)
