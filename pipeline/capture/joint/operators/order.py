"""What is cumulated along an axis, and what is sorted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from pipeline.capture.joint.operators.call import Call, Writer, translates
from pipeline.capture.joint.operators.shape import sizes_of
from pipeline.graphs.graph import Value


@translates("cumsum")
def cumsum(call: Call, g: Writer) -> Value:
    """cumsum(self, dim)."""
    value = g.as_type(call["self"], call.result.dtype)
    return g.op("CumSum", value, g.ints(call.axis("dim", call["self"])))


@translates("topk")
def topk(call: Call, g: Writer) -> tuple[Value, ...]:
    """topk(self, k, dim=-1, largest=True, sorted=True) → values, indices."""
    axis = call.axis("dim", call["self"])
    count = g.ints([int(call["k"])])
    return g.ops("TopK", call["self"].value, count, outputs=2, axis=axis, largest=int(bool(call["largest"])))


@translates("sort")
def sort(call: Call, g: Writer) -> tuple[Value, ...]:
    """sort(self, dim=-1, descending=False) → values, indices."""
    tensor = call["self"]
    axis = call.axis("dim", tensor)
    count = g.size(sizes_of(tensor)[axis])
    return g.ops("TopK", tensor.value, count, outputs=2, axis=axis, largest=int(bool(call["descending"])))


@translates("cummax", "cummin")
def cumulated_extremum(call: Call, g: Writer) -> tuple[Value, ...]:
    """cummax(self, dim) → values, indices; of equal elements the last, as in torch; cummin alike."""
    tensor, axis = call["self"], call.axis("dim", call["self"])
    size = tensor.static(axis)
    kind = "Max" if call.name == "cummax" else "Min"
    values = _over_all_before(g, tensor.value, axis, size, partial(g.op, kind))
    places = g.ints(np.arange(size).reshape(-1, *[1] * (tensor.rank - 1 - axis)))
    own = g.op("Where", g.op("Equal", tensor.value, values), places, g.ints(0))
    return values, _over_all_before(g, own, axis, size, partial(g.op, "Max"))


@translates("cumprod")
def cumulated_product(call: Call, g: Writer) -> Value:
    """cumprod(self, dim)."""
    tensor, axis = call["self"], call.axis("dim", call["self"])
    value = g.as_type(tensor, call.result.dtype)
    return _over_all_before(g, value, axis, tensor.static(axis), partial(g.op, "Mul"))


@translates("logcumsumexp")
def cumulated_sum_of_powers(call: Call, g: Writer) -> Value:
    """logcumsumexp(self, dim)."""
    tensor, axis = call["self"], call.axis("dim", call["self"])
    return _over_all_before(g, tensor.value, axis, tensor.static(axis), partial(_log_of_sum, g))


def _log_of_sum(g: Writer, left: Value, right: Value) -> Value:
    """log(e^left + e^right), also where both are −∞."""
    apart = g.op("Abs", g.op("Sub", left, right))
    apart = g.op("Where", g.op("Equal", left, right), g.floats(0.0), apart)
    more = g.op("Log", g.op("Add", g.op("Exp", g.op("Neg", apart)), g.floats(1.0)))
    return g.op("Add", g.op("Max", left, right), more)


def _over_all_before(g: Writer, value: Value, axis: int, size: int, both: Callable[[Value, Value], Value]) -> Value:
    """Each element with all before it, in as many nodes as the size has digits: with those one, two, four … before."""
    step = 1
    while step < size:
        ends = (g.ints([axis]), g.ints([1]))
        kept = g.op("Slice", value, g.ints([0]), g.ints([step]), *ends)
        before = g.op("Slice", value, g.ints([0]), g.ints([size - step]), *ends)
        after = g.op("Slice", value, g.ints([step]), g.ints([size]), *ends)
        value = g.op("Concat", kept, both(after, before), axis=axis)
        step *= 2
    return value


@translates("kthvalue", "median")
def element_by_rank(call: Call, g: Writer) -> Value | tuple[Value, ...]:
    """kthvalue(self, k, dim=-1, keepdim=False) → values, indices; median(self, dim), median(self): the lower middle."""
    tensor = call["self"]
    if call.get("dim") is None:
        return _median_of_all(g, tensor.value)
    axis, keep = call.axis("dim", tensor), bool(call["keepdim"])
    place = int(call["k"]) if call.name == "kthvalue" else (tensor.static(axis) + 1) // 2
    sorted_ = g.ops("TopK", tensor.value, g.ints([place]), outputs=2, axis=axis, largest=0)
    return tuple(g.op("Gather", part, g.ints([place - 1] if keep else place - 1), axis=axis) for part in sorted_)


def _median_of_all(g: Writer, value: Value) -> Value:
    flat = g.op("Reshape", value, g.ints([-1]))
    place = g.op("Div", g.op("Add", g.op("Shape", flat), g.ints([1])), g.ints([2]))
    lower = g.ops("TopK", flat, place, outputs=2, axis=0, largest=0)[0]
    return g.op("Squeeze", g.op("Slice", lower, g.ints([-1]), g.ints([np.iinfo(np.int64).max])))
