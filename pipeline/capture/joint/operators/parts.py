"""Parts of a tensor, read and written."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.capture.joint.operators.call import Call, Parts, Size, Tensor, Writer, translates
from pipeline.capture.joint.operators.shape import sizes_of
from pipeline.graphs.graph import Value


def _bound(number: Any, missing: int) -> int | Size:
    return missing if number is None else number


@translates("slice")
def cut(call: Call, g: Writer) -> Value:
    """slice(self, dim=0, start=None, end=None, step=1)."""
    tensor, axis = call["self"], call.axis("dim", call["self"])
    if tensor.shape == call.result.shape:
        return str(tensor.value)
    start, end = _bound(call["start"], 0), _bound(call["end"], np.iinfo(np.int64).max)
    return g.op("Slice", tensor.value, g.size(start), g.size(end), g.ints([axis]), g.ints([int(call["step"])]))


@translates("select")
def select(call: Call, g: Writer) -> Value:
    """select(self, dim, index)."""
    tensor, axis = call["self"], call.axis("dim", call["self"])
    index = call["index"]
    at = g.ints(int(index)) if isinstance(index, int) else g.op("Squeeze", g.size(index))
    return g.op("Gather", tensor.value, at, axis=axis)


@translates("select_backward", "slice_backward")
def part_backward(call: Call, g: Writer) -> Value:
    """select_backward(grad_output, input_sizes, dim, index), slice_backward(…, start, end, step): zeros around."""
    gradient, result = call["grad_output"], call.result
    axis = int(call["dim"]) % result.rank
    value = gradient.value
    if gradient.shape == result.shape:
        return str(value)
    if not isinstance(result.shape[axis], int):
        bounds = _bounds(call, g, axis)
        if call.name == "select_backward":
            value = g.op("Unsqueeze", value, g.ints([axis]))
        return g.op("SliceGrad", value, g.sizes(sizes_of(result)), *bounds)
    size = result.static(axis)
    if call.name == "select_backward":
        start, step, length = int(call["index"]) % size, 1, 1
        value = g.op("Unsqueeze", value, g.ints([axis]))
    else:
        chosen = range(*slice(call["start"], min(call["end"], size), call["step"]).indices(size))
        start, step, length = chosen.start, chosen.step, len(chosen)
    return _placed(g, value, result, axis, start, step, length)


def _bounds(call: Call, g: Writer, axis: int) -> tuple[Value, ...]:
    """Start, end, axis and step of the part that a call names, as Slice has them."""
    if "index" in call.arguments:
        start, step = call["index"], 1
        end = start + 1 if start != -1 else None
    else:
        start, end, step = _bound(call["start"], 0), call["end"], int(call["step"])
    return g.size(start), g.size(_bound(end, np.iinfo(np.int64).max)), g.ints([axis]), g.ints([step])


@translates("slice_scatter", "select_scatter")
def part_scatter(call: Call, g: Writer) -> Value:
    """slice_scatter(self, src, dim, start, end, step), select_scatter(self, src, dim, index): src in a part of self."""
    tensor, src = call["self"], call["src"]
    axis = call.axis("dim", tensor)
    if tensor.shape == src.shape:
        return str(src.value)
    if not isinstance(tensor.shape[axis], int):
        return _scattered(call, g, axis)
    size = tensor.static(axis)
    if call.name == "select_scatter":
        chosen = [int(call["index"]) % size]
        value = g.op("Unsqueeze", src.value, g.ints([axis]))
    else:
        bounds = (call["start"] or 0, min(size, _bound(call["end"], size)), call["step"])
        chosen = list(range(*slice(*bounds).indices(size)))
        value = src.value
    order = np.array([size + chosen.index(i) if i in chosen else i for i in range(size)], np.int64)
    return g.op("Gather", g.op("Concat", tensor.value, value, axis=axis), g.ints(order), axis=axis)


def _scattered(call: Call, g: Writer, axis: int) -> Value:
    """Along the batch: each element of a part by its place."""
    tensor, value = call["self"], call["src"].value
    if call.name == "select_scatter":
        value = g.op("Unsqueeze", value, g.ints([axis]))
    places = g.op("Range", g.ints(0), g.op("Squeeze", g.size(sizes_of(tensor)[axis])), g.ints(1))
    column = g.op("Reshape", places, g.ints([-1, *[1] * (tensor.rank - 1 - axis)]))
    part = g.op("Slice", g.op("Expand", column, g.sizes(sizes_of(tensor))), *_bounds(call, g, axis))
    return g.op("ScatterElements", tensor.value, part, value, axis=axis)


def _placed(g: Writer, value: Value, result: Tensor, axis: int, start: int, step: int, length: int) -> Value:
    """A part of a tensor that is 0 elsewhere."""
    size = result.static(axis)
    if step == 1:
        pads = [0] * (2 * result.rank)
        pads[axis], pads[result.rank + axis] = start, size - start - length
        if not any(pads):
            return value
        padded = g.op("Pad", value, g.ints(pads))
        g.parts[padded] = Parts(axis, size, {start: (value, length)})
        return padded
    zero = g.op("Pad", value, g.ints([*[0] * (result.rank + axis), 1, *[0] * (result.rank - axis - 1)]))
    order = np.full(size, length, np.int64)
    order[start : start + step * length : step] = np.arange(length)
    return g.op("Gather", zero, g.ints(order), axis=axis)
