"""Sums, means, extrema and what is cumulated."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from pipeline.capture.joint.operators.call import Call, Tensor, Writer, translates
from pipeline.capture.joint.operators.shape import sizes_of
from pipeline.graphs.graph import Value
from pipeline.graphs.rows import sum_of_rows


def axes_of(call: Call, tensor: Tensor) -> list[int]:
    """The axes that a reduction names; all where it names none."""
    dims = call.get("dim")
    if dims is None or (isinstance(dims, Sequence) and not dims):
        return list(range(tensor.rank))
    given = dims if isinstance(dims, Sequence) else [dims]
    return sorted(int(axis) % max(tensor.rank, 1) for axis in given)


@translates("sum")
def total(call: Call, g: Writer) -> Value:
    """sum(self, dim=None, keepdim=False)."""
    tensor, axes = call["self"], axes_of(call, call["self"])
    value = g.as_type(tensor, call.result.dtype)
    kept = [size for size in tensor.shape[len(axes) :] if isinstance(size, int)]
    if call.result.dtype == torch.float32 and kept and axes == list(range(tensor.rank - len(kept))):
        # Mostly the gradient of a bias, summed over batch and tokens.
        matrix = g.op("Reshape", value, g.ints([-1, math.prod(kept)]))
        return g.view(sum_of_rows(g, matrix, tensor.shape[: len(axes)]), sizes_of(call.result))
    return g.sum(value, axes, keepdims=bool(call.get("keepdim", False))) if tensor.rank and axes else value


@translates("mean")
def mean(call: Call, g: Writer) -> Value:
    """mean(self, dim=None, keepdim=False)."""
    tensor, axes = call["self"], axes_of(call, call["self"])
    if not tensor.rank:
        return str(tensor.value)
    keep = bool(call.get("keepdim", False))
    if tensor.rank > 2 and axes == list(range(2, tensor.rank)):
        pooled = g.op("GlobalAveragePool", tensor.value)
        return pooled if keep else g.view(pooled, sizes_of(call.result))
    return g.op("ReduceMean", tensor.value, axes=axes, keepdims=int(keep))


@translates("amax", "amin")
def extremum(call: Call, g: Writer) -> Value:
    """amax(self, dim=[], keepdim=False)."""
    kind = "ReduceMax" if call.name == "amax" else "ReduceMin"
    return g.op(kind, call["self"].value, axes=axes_of(call, call["self"]), keepdims=int(bool(call["keepdim"])))


@translates("max", "min")
def extremum_and_index(call: Call, g: Writer) -> Value | tuple[Value, ...]:
    """max(self, dim, keepdim=False) → values, indices; max(self) over all."""
    tensor = call["self"]
    kind, index = ("ReduceMax", "ArgMax") if call.name == "max" else ("ReduceMin", "ArgMin")
    if call.get("dim") is None:
        return g.op(kind, tensor.value, keepdims=0)
    axis, keep = call.axis("dim", tensor), int(bool(call["keepdim"]))
    value = g.as_type(tensor, torch.int32) if tensor.dtype == torch.bool else tensor.value
    values = g.op(kind, value, axes=[axis], keepdims=keep)
    place = g.op(index, value, axis=axis, keepdims=keep)
    return g.cast(values, torch.bool) if tensor.dtype == torch.bool else values, place


@translates("argmax", "argmin")
def index_of_extremum(call: Call, g: Writer) -> Value:
    """argmax(self, dim=None, keepdim=False)."""
    tensor, kind = call["self"], "ArgMax" if call.name == "argmax" else "ArgMin"
    value = g.as_type(tensor, torch.int32) if tensor.dtype == torch.bool else tensor.value
    if call["dim"] is None:
        flat = g.op("Reshape", value, g.ints([-1]))
        return g.op("Squeeze", g.op(kind, flat, axis=0, keepdims=0))
    return g.op(kind, value, axis=call.axis("dim", tensor), keepdims=int(bool(call["keepdim"])))


@translates("any", "all")
def whether(call: Call, g: Writer) -> Value:
    """any(self, dim=None, keepdim=False), all."""
    number = g.cast(g.as_type(call["self"], torch.bool), torch.int32)
    kind = "ReduceMax" if call.name == "any" else "ReduceMin"
    axes, keep = axes_of(call, call["self"]), int(bool(call.get("keepdim", False)))
    return g.cast(g.op(kind, number, axes=axes, keepdims=keep), torch.bool)


@translates("var", "std")
def variance(call: Call, g: Writer) -> Value:
    """var(self, dim=None, correction=1, keepdim=False)."""
    return _variance(call, g)[0]


@translates("var_mean", "std_mean")
def variance_and_mean(call: Call, g: Writer) -> tuple[Value, ...]:
    """var_mean(self, dim=None, correction=1, keepdim=False) → variance, mean."""
    return _variance(call, g)


def _variance(call: Call, g: Writer) -> tuple[Value, Value]:
    tensor, axes = call["self"], axes_of(call, call["self"])
    average = g.op("ReduceMean", tensor.value, axes=axes, keepdims=1)
    centred = g.op("Sub", tensor.value, average)
    squares = g.sum(g.op("Mul", centred, centred), axes, keepdims=True)
    correction = call.get("correction")
    correction = 1 if correction is None else correction
    if all(isinstance(tensor.shape[axis], int) for axis in axes):
        count = g.floats(float(math.prod(tensor.static(axis) for axis in axes) - correction))
    else:
        sizes = g.op("Gather", g.op("Shape", tensor.value), g.ints(axes))
        product = g.cast(g.op("ReduceProd", sizes, keepdims=0), torch.float32)
        count = g.op("Sub", product, g.floats(float(correction)))
    value = g.op("Div", squares, count)
    if call.name.startswith("std"):
        value = g.op("Sqrt", value)
    keep = bool(call.get("keepdim", False))
    return (value, average) if keep else (_dropped(g, value, axes), _dropped(g, average, axes))


def _dropped(g: Writer, value: Value, axes: Sequence[int]) -> Value:
    return g.op("Squeeze", value, g.ints(list(axes)))


@translates("prod")
def product(call: Call, g: Writer) -> Value:
    """prod(self, dim=None, keepdim=False, dtype=None)."""
    axes, keep = axes_of(call, call["self"]), int(bool(call.get("keepdim", False)))
    return g.op("ReduceProd", g.as_type(call["self"], call.result.dtype), axes=axes, keepdims=keep)


@translates("prims.prod")
def product_of_axes(call: Call, g: Writer) -> Value:
    """prims.prod(inp, dims): in torch's gradient of products."""
    return g.op("ReduceProd", call["inp"].value, axes=[int(axis) for axis in call["dims"]], keepdims=0)


@translates("linalg_vector_norm", "norm")
def vector_norm(call: Call, g: Writer) -> Value:
    """linalg_vector_norm(self, ord=2, dim=None, keepdim=False, dtype=None)."""
    order = float(call.get("ord", call.get("p", 2)))
    axes, keep = axes_of(call, call["self"]), int(bool(call.get("keepdim", False)))
    tensor = Tensor(_norm(g, call["self"].value, order, axes, keep), call.result.shape, call["self"].dtype)
    return g.as_type(tensor, call.result.dtype)


def _norm(g: Writer, value: Value, order: float, axes: Sequence[int], keep: int) -> Value:
    if order in (1, 2):
        return g.op(f"ReduceL{int(order)}", value, axes=axes, keepdims=keep)
    length = g.op("Abs", value)
    if math.isinf(order):
        return g.op("ReduceMax" if order > 0 else "ReduceMin", length, axes=axes, keepdims=keep)
    if order == 0:
        return g.sum(g.op("Abs", g.op("Sign", value)), axes, keepdims=bool(keep))
    powers = g.sum(g.op("Pow", length, g.floats(order)), axes, keepdims=bool(keep))
    return g.op("Pow", powers, g.floats(1 / order))


@translates("logsumexp")
def logsumexp(call: Call, g: Writer) -> Value:
    """logsumexp(self, dim, keepdim=False)."""
    axes, keep = axes_of(call, call["self"]), int(bool(call["keepdim"]))
    return g.op("ReduceLogSumExp", call["self"].value, axes=axes, keepdims=keep)
