"""Diagonals, read and written."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.capture.joint.operators.call import Call, Tensor, Writer, translates
from pipeline.capture.joint.operators.shape import sizes_of
from pipeline.graphs.graph import Value


@translates("diagonal")
def diagonal(call: Call, g: Writer) -> Value:
    """diagonal(self, offset=0, dim1=0, dim2=1): last in the result."""
    tensor = call["self"]
    return g.op("Gather", _flat(g, tensor, _axes(call, tensor)), g.ints(_places(call, tensor)), axis=-1)


@translates("diagonal_backward", "diagonal_scatter")
def diagonal_written(call: Call, g: Writer) -> Value:
    """diagonal_scatter(self, src, offset=0, dim1=0, dim2=1); diagonal_backward(grad_output, …) of zeros."""
    result = call.result
    axes, places = _axes(call, result), _places(call, result)
    first, second = (result.static(axis) for axis in axes)
    parts: tuple[Value, ...]
    if call.name == "diagonal_scatter":
        parts, order = (_flat(g, call["self"], axes), call["src"].value), np.arange(first * second)
        order[places] = first * second + np.arange(len(places))
    else:
        gradient = call["grad_output"]
        end = g.ints([*[0] * (2 * gradient.rank - 1), 1])
        parts, order = (g.op("Pad", gradient.value, end),), np.full(first * second, len(places))
        order[places] = np.arange(len(places))
    joined = parts[0] if len(parts) == 1 else g.op("Concat", *parts, axis=-1)
    moved = _order(result.rank, axes)
    shape = [sizes_of(result)[axis] for axis in moved]
    value = g.view(g.op("Gather", joined, g.ints(order), axis=-1), shape)
    back = [moved.index(axis) for axis in range(result.rank)]
    return value if back == sorted(back) else g.op("Transpose", value, perm=back)


def _axes(call: Call, tensor: Tensor) -> tuple[int, int]:
    return call.axis("dim1", tensor), call.axis("dim2", tensor)


def _order(rank: int, axes: tuple[int, int]) -> list[int]:
    return [*(axis for axis in range(rank) if axis not in axes), *axes]


def _flat(g: Writer, tensor: Tensor, axes: tuple[int, int]) -> Value:
    """The tensor with the matrices' axes last, as one."""
    order = _order(tensor.rank, axes)
    value = tensor.value if order == sorted(order) else g.op("Transpose", tensor.value, perm=order)
    first, second = (tensor.static(axis) for axis in axes)
    return g.view(value, [*(sizes_of(tensor)[axis] for axis in order[:-2]), first * second])


def _places(call: Call, tensor: Tensor) -> npt.NDArray[np.int64]:
    """Of the diagonal's elements, in the matrix row by row."""
    rows, columns = (tensor.static(axis) for axis in _axes(call, tensor))
    return np.diagonal(np.arange(rows * columns).reshape(rows, columns), int(call["offset"]))
