"""Embeddings, gathering and scattering."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pipeline.capture.joint.operators.call import Call, Tensor, UntranslatedError, Writer, translates
from pipeline.capture.joint.operators.shape import sizes_of
from pipeline.graphs.graph import Value


@translates("embedding")
def embedding(call: Call, g: Writer) -> Value:
    """embedding(weight, indices)."""
    return g.op("Gather", call["weight"].value, call["indices"].value, axis=0)


@translates("embedding_dense_backward")
def embedding_dense_backward(call: Call, g: Writer) -> Value:
    """embedding_dense_backward(grad_output, indices, num_weights, padding_idx, scale_grad_by_freq): summed by row.

    The padding row takes none.
    """
    gradient, indices, padding = call["grad_output"], call["indices"], int(call["padding_idx"])
    value, words = gradient.value, g.as_type(indices, torch.int64)
    if call["scale_grad_by_freq"]:
        flat = g.op("Reshape", words, g.ints([-1]))
        once = g.op("Expand", g.floats(1.0), g.op("Shape", flat))
        none = g.floats(np.zeros(call.result.static(0)))
        count = g.op("ScatterElements", none, flat, once, axis=0, reduction="add")
        value = g.op("Div", value, g.op("Unsqueeze", g.op("Gather", count, words, axis=0), g.ints([-1])))
    if padding >= 0:
        other = g.op("Not", g.op("Equal", indices.value, g.number(padding, indices.dtype)))
        value = g.op("Mul", value, g.op("Unsqueeze", g.cast(other, torch.float32), g.ints([-1])))
    return g.op("GatherGrad", g.sizes(sizes_of(call.result)), words, value, axis=0)


@translates("gather")
def gather(call: Call, g: Writer) -> Value:
    """gather(self, dim, index)."""
    return g.op("GatherElements", call["self"].value, call["index"].value, axis=call.axis("dim", call["self"]))


@translates("index_select")
def index_select(call: Call, g: Writer) -> Value:
    """index_select(self, dim, index)."""
    return g.op("Gather", call["self"].value, call["index"].value, axis=call.axis("dim", call["self"]))


@translates("index_add")
def index_add(call: Call, g: Writer) -> Value:
    """index_add(self, dim, index, source, alpha=1): rows of source added to those of self that the index names."""
    tensor, source = call["self"], call["source"]
    axes = [call.axis("dim", tensor)]
    rows = g.op("Unsqueeze", g.as_type(call["index"], torch.int64), g.ints([-1]))
    added = _first(g, source, axes)
    if call["alpha"] != 1:
        added = g.op("Mul", added, g.number(call["alpha"], tensor.dtype))
    filled = g.op("ScatterND", _first(g, tensor, axes), rows, added, reduction="add")
    return _restored(g, filled, tensor, axes)


@translates("index", "_unsafe_index")
def index(call: Call, g: Writer) -> Value:
    """index(self, indices): integers along some axes; several are broadcast together."""
    tensor, axes, indices = _indices(call)
    if len(axes) == 1:
        return g.op("Gather", tensor.value, indices[0].value, axis=axes[0])
    first, positions = _together(g, tensor, axes, indices)
    found = g.op("GatherND", _first(g, tensor, axes), positions)
    return _placed_back(g, found, tensor, axes, first)


@translates("index_put", "_unsafe_index_put", "_index_put_impl")
def index_put(call: Call, g: Writer) -> Value:
    """index_put(self, indices, values, accumulate=False); by a mask where the values are the same for all it holds."""
    masked = _by_mask(call, g)
    if masked:
        return masked
    tensor, axes, indices = _indices(call)
    values: Tensor = call["values"]
    first, positions = _together(g, tensor, axes, indices)
    rest = [axis for axis in range(tensor.rank) if axis not in axes]
    adjacent = axes == list(range(axes[0], axes[0] + len(axes)))
    shape = [*sizes_of(_shaped(tensor, rest[: axes[0]])), *first, *sizes_of(_shaped(tensor, rest[axes[0] :]))]
    if not adjacent:
        shape = [*first, *sizes_of(_shaped(tensor, rest))]
    value = g.op("Expand", g.as_type(values, tensor.dtype), g.sizes(shape))
    if adjacent and axes[0]:
        count = len(first)
        order = [
            *range(axes[0], axes[0] + count),
            *range(axes[0]),
            *range(axes[0] + count, axes[0] + count + len(rest) - axes[0]),
        ]
        value = g.op("Transpose", value, perm=order)
    reduction = "add" if call["accumulate"] else "none"
    filled = g.op("ScatterND", _first(g, tensor, axes), positions, value, reduction=reduction)
    return _restored(g, filled, tensor, axes)


def _by_mask(call: Call, g: Writer) -> Value | None:
    """Of one mask from some axis on, of values without an axis for what it holds."""
    tensor, values = call["self"], call["values"]
    before = [chosen for chosen in call["indices"] if chosen is not None]
    if len(before) != 1 or before[0].dtype != torch.bool or call["accumulate"]:
        return None
    mask, axis = before[0], call["indices"].index(before[0])
    behind = tensor.rank - axis - mask.rank
    if values.rank > behind and any(size != 1 for size in values.shape[: values.rank - behind]):
        return None
    value = mask.value
    if behind:
        value = g.view(value, [*sizes_of(mask), *[1] * behind])
    filled = g.op("Where", value, g.as_type(values, tensor.dtype), tensor.value)
    return str(filled)


def _indices(call: Call) -> tuple[Tensor, list[int], list[Tensor]]:
    tensor: Tensor = call["self"]
    given: list[Any] = list(call["indices"])
    axes = [axis for axis, chosen in enumerate(given) if chosen is not None]
    indices: list[Tensor] = [chosen for chosen in given if chosen is not None]
    if any(chosen.dtype == torch.bool for chosen in indices):
        raise UntranslatedError("by a mask, whose result has as many rows as it holds: use torch.where")
    return tensor, axes, indices


def _shaped(tensor: Tensor, axes: list[int]) -> Tensor:
    return Tensor("", tuple(tensor.shape[axis] for axis in axes), tensor.dtype)


def _together(g: Writer, tensor: Tensor, axes: list[int], indices: list[Tensor]) -> tuple[list[Any], Value]:
    """The shape that the indices have together, and their positions in it: one more axis, a number for each."""
    rank = max(chosen.rank for chosen in indices)
    together: list[Any] = [1] * rank
    for chosen in indices:
        for place, size in enumerate(sizes_of(chosen), start=rank - chosen.rank):
            together[place] = size if size != 1 else together[place]
    parts: list[Value] = []
    for axis, chosen in zip(axes, indices, strict=True):
        value = g.as_type(chosen, torch.int64)
        length = g.size(sizes_of(tensor)[axis])
        # A negative index counts from the end.
        value = g.op("Where", g.op("Less", value, g.ints(0)), g.op("Add", value, length), value)
        parts.append(g.op("Unsqueeze", g.op("Expand", value, g.sizes(together)), g.ints([-1])))
    return together, parts[0] if len(parts) == 1 else g.op("Concat", *parts, axis=-1)


def _first(g: Writer, tensor: Tensor, axes: list[int]) -> Value:
    """The tensor with the indexed axes first."""
    order = [*axes, *(axis for axis in range(tensor.rank) if axis not in axes)]
    return tensor.value if order == sorted(order) else g.op("Transpose", tensor.value, perm=order)


def _restored(g: Writer, value: Value, tensor: Tensor, axes: list[int]) -> Value:
    order = [*axes, *(axis for axis in range(tensor.rank) if axis not in axes)]
    back = [order.index(axis) for axis in range(tensor.rank)]
    return value if back == sorted(back) else g.op("Transpose", value, perm=back)


def _placed_back(g: Writer, found: Value, tensor: Tensor, axes: list[int], first: list[Any]) -> Value:
    """Where the indexed axes are neighbours, torch leaves what they become at their place; else it comes first."""
    start, count = axes[0], len(first)
    if not start or axes != list(range(start, start + len(axes))):
        return found
    rank = count + tensor.rank - len(axes)
    order = [*range(count, count + start), *range(count), *range(count + start, rank)]
    return g.op("Transpose", found, perm=order)


@translates("one_hot")
def one_hot(call: Call, g: Writer) -> Value:
    """one_hot(self, num_classes)."""
    return g.op("OneHot", call["self"].value, g.ints(int(call["num_classes"])), g.constant([0, 1], np.int64), axis=-1)
