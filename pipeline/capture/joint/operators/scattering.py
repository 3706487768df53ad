"""What is written to places that an index or a mask names, and places that are looked for."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.capture.joint.operators.call import Call, UntranslatedError, Writer, translates
from pipeline.capture.joint.operators.shape import sizes_of, spread
from pipeline.graphs.graph import Value


@translates("scatter")
def scatter(call: Call, g: Writer) -> Value:
    """scatter(self, dim, index, src or value, reduce=None)."""
    tensor, index = call["self"], call["index"]
    if "src" in call.arguments:
        src = call["src"].value
    else:
        src = g.op("Expand", g.operand(call["value"], tensor.dtype), g.op("Shape", index.value))
    reduction = {None: "none", "add": "add", "multiply": "mul"}[call.get("reduce")]
    axis = call.axis("dim", tensor)
    return g.op("ScatterElements", tensor.value, index.value, src, axis=axis, reduction=reduction)


@translates("scatter_add")
def scatter_add(call: Call, g: Writer) -> Value:
    """scatter_add(self, dim, index, src)."""
    axis = call.axis("dim", call["self"])
    inputs = (call[name].value for name in ("self", "index", "src"))
    return g.op("ScatterElements", *inputs, axis=axis, reduction="add")


@translates("scatter_reduce")
def scatter_reduce(call: Call, g: Writer) -> Value:
    """scatter_reduce(self, dim, index, src, reduce, include_self=True)."""
    tensor, index, kind = call["self"], call["index"].value, call["reduce"]
    axis = call.axis("dim", tensor)
    if kind in ("amax", "amin"):
        return _extrema(call, g, axis)
    src = call["src"].value
    if call["src"].shape != call["index"].shape:
        src = g.op("Slice", src, g.ints([0] * tensor.rank), g.op("Shape", index))
    start, neutral = tensor.value, g.number(1 if kind == "prod" else 0, tensor.dtype)
    if not call["include_self"]:
        start = g.op("ScatterElements", start, index, g.op("Expand", neutral, g.op("Shape", index)), axis=axis)
    reduction = "mul" if kind == "prod" else "add"
    value = g.op("ScatterElements", start, index, src, axis=axis, reduction=reduction)
    if kind != "mean":
        return value
    one = g.number(1, tensor.dtype)
    first = g.op("Expand", one if call["include_self"] else neutral, g.op("Shape", tensor.value))
    ones = g.op("Expand", one, g.op("Shape", index))
    count = g.op("ScatterElements", first, index, ones, axis=axis, reduction="add")
    return g.op("Div", value, g.op("Max", count, one))


def _extrema(call: Call, g: Writer, axis: int) -> Value:
    """Of all that goes to a place: ScatterElements has them in later standards."""
    tensor, index, src = call["self"], call["index"], call["src"]
    others = [other for other in range(tensor.rank) if other != axis]
    if index.shape != src.shape or any(index.shape[other] != tensor.shape[other] for other in others):
        raise UntranslatedError(f"({call['reduce']}) of an index that is smaller than the tensor; write it in full")
    is_max = call["reduce"] == "amax"
    places = g.ints(np.arange(tensor.static(axis)))
    # For each place all that is written: …×places×index.
    last = [*others, axis]
    written, chosen = (
        g.op("Unsqueeze", g.op("Transpose", part.value, perm=last), g.ints([-2])) for part in (src, index)
    )
    here = g.op("Equal", chosen, g.op("Unsqueeze", places, g.ints([-1])))
    nothing = g.floats(-np.inf if is_max else np.inf)
    found = g.op("ReduceMax" if is_max else "ReduceMin", g.op("Where", here, written, nothing), axes=[-1], keepdims=0)
    found = g.op("Transpose", found, perm=[last.index(place) for place in range(tensor.rank)])
    if call["include_self"]:
        return g.op("Max" if is_max else "Min", tensor.value, found)
    return g.op("Where", g.op("Equal", found, nothing), tensor.value, found)


@translates("put")
def put(call: Call, g: Writer) -> Value:
    """put(self, index, source, accumulate=False): by places in the tensor row by row."""
    tensor = call["self"]
    flat, places, source = (_flat(g, call[name].value) for name in ("self", "index", "source"))
    size = g.op("Size", tensor.value)
    places = g.op("Where", g.op("Less", places, g.ints(0)), g.op("Add", places, size), places)
    reduction = "add" if call["accumulate"] else "none"
    return g.view(g.op("ScatterElements", flat, places, source, axis=0, reduction=reduction), sizes_of(tensor))


def _flat(g: Writer, value: Value) -> Value:
    return g.op("Reshape", value, g.ints([-1]))


@translates("masked_scatter")
def masked_scatter(call: Call, g: Writer) -> Value:
    """masked_scatter(self, mask, source): where the mask holds, the elements of source in their order."""
    tensor, mask = call["self"], spread(g, call["mask"], call["self"])
    taken = g.op("Gather", _flat(g, call["source"].value), _numbers(g, mask), axis=0)
    return g.op("Where", mask, g.view(taken, sizes_of(tensor)), tensor.value)


@translates("masked_scatter_backward")
def masked_scatter_backward(call: Call, g: Writer) -> Value:
    """masked_scatter_backward(grad_output, mask, sizes): of source, what the mask's places receive in their order."""
    gradient, mask = call["grad_output"], spread(g, call["mask"], call["grad_output"])
    received = _flat(g, g.op("Where", mask, gradient.value, g.floats(0.0)))
    size = g.op("ReduceProd", g.sizes(sizes_of(call.result)), keepdims=1)
    zeros = g.op("Expand", g.floats(0.0), size)
    filled = g.op("ScatterElements", zeros, _numbers(g, mask), received, axis=0, reduction="add")
    return g.view(filled, sizes_of(call.result))


def _numbers(g: Writer, mask: Value) -> Value:
    """Of each element, row by row, how many before it the mask holds; where it does not, of the last before it."""
    count = g.op("CumSum", g.cast(_flat(g, mask), torch.int64), g.ints(0))
    return g.op("Max", g.op("Sub", count, g.ints(1)), g.ints(0))


@translates("searchsorted")
def searchsorted(call: Call, g: Writer) -> Value:
    """searchsorted(sorted_sequence, self, right=False, side=None, sorter=None): how many lie before."""
    rows, values = call["sorted_sequence"], call["self"]
    if call["sorter"]:
        raise UntranslatedError("with sorter; gather the sequence by it")
    right = call["right"] or call["side"] == "right"
    wanted = g.op("Unsqueeze", g.operand(values, rows.dtype), g.ints([-1]))
    sequence = rows.value if rows.rank == 1 else g.op("Unsqueeze", rows.value, g.ints([-2]))
    before = g.op("LessOrEqual" if right else "Less", sequence, wanted)
    return g.cast(g.sum(g.cast(before, torch.int64), [-1]), call.result.dtype)


@translates("repeat_interleave")
def repeat_interleave(call: Call, g: Writer) -> Value:
    """repeat_interleave(repeats, output_size) → of each place of the result, what is repeated there."""
    places = g.ints(np.arange(call.result.static(0)))
    ends = g.op("CumSum", g.as_type(call["repeats"], torch.int64), g.ints(0))
    before = g.op("LessOrEqual", g.op("Unsqueeze", ends, g.ints([1])), places)
    return g.sum(g.cast(before, torch.int64), [0])
