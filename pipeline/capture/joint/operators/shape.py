"""Views, copies of parts and what is put together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from pipeline.capture.joint.operators.call import Call, Parts, Size, Tensor, UntranslatedError, Writer, translates
from pipeline.graphs.graph import Value


def sizes_of(tensor: Tensor) -> list[int | Size]:
    """A tensor's shape as numbers."""
    return [size if isinstance(size, int) else _parsed(size) for size in tensor.shape]


def _parsed(symbol: str) -> Size:
    factor, _, rest = symbol.partition("N")
    return Size(int(factor or 1), int(rest or 0))


@translates("view", "_unsafe_view", "reshape", "unflatten")
def view(call: Call, g: Writer) -> Value:
    """view(self, size)."""
    if call["self"].shape == call.result.shape:
        return str(call["self"].value)
    return g.view(call["self"].value, sizes_of(call.result))


@translates("unsqueeze", "squeeze")
def squeeze(call: Call, g: Writer) -> Value:
    """unsqueeze(self, dim), squeeze(self, dim)."""
    return g.view(call["self"].value, sizes_of(call.result))


@translates("expand")
def expand(call: Call, g: Writer) -> Value:
    """expand(self, size)."""
    if call["self"].shape == call.result.shape:
        return str(call["self"].value)
    return g.op("Expand", call["self"].value, g.sizes(sizes_of(call.result)))


@translates("as_strided")
def as_strided(call: Call, g: Writer) -> Value:
    """as_strided(self, size, stride, storage_offset=None): where it is a view of the whole tensor, row by row.

    So torch's own adaptive pooling to one pixel marks its result as channels-last.
    """
    size = _as_a_view(call)
    return g.view(call["self"].value, size)


@translates("prims.as_strided_scatter")
def as_strided_scatter(call: Call, g: Writer) -> Value:
    """as_strided_scatter(input, src, size, stride, storage_offset): src, where it covers the whole of input."""
    _as_a_view(call)
    return g.view(call["src"].value, sizes_of(call.result))


def _as_a_view(call: Call) -> list[int | Size]:
    """The size that as_strided gives, where no element of the tensor is left out or moved."""
    tensor: Tensor = call.get("self") or call["input"]
    size, stride = list(call["size"]), list(call["stride"])
    kept = [axis for axis, length in enumerate(size) if length != 1]
    sizes = [length for length in sizes_of(tensor) if length != 1]
    whole = sizes == [size[axis] for axis in kept] or (tensor.rank == 1 and _count(sizes) == _count(size))
    by_rows, expected = True, 1
    for axis in reversed(kept):
        by_rows = by_rows and stride[axis] == expected
        # Only the first axis depends on the batch, and nothing lies before it.
        expected = expected * size[axis] if isinstance(size[axis], int) else 0
    if not (whole and by_rows) or call["storage_offset"]:
        raise UntranslatedError("that reads the tensor in another order")
    return size


def _count(size: list[int | Size]) -> tuple[int, int]:
    """How many elements, and in how many powers of the batch."""
    factors = [length.factor if isinstance(length, Size) else length for length in size]
    return math.prod(factors), sum(isinstance(length, Size) for length in size)


@translates("repeat")
def repeat(call: Call, g: Writer) -> Value:
    """repeat(self, repeats): repeats may name axes before the tensor's."""
    tensor, repeats = call["self"], list(call["repeats"])
    extra = len(repeats) - tensor.rank
    value = g.view(tensor.value, [1] * extra + sizes_of(tensor)) if extra else tensor.value
    return value if all(count == 1 for count in repeats) else g.op("Tile", value, g.sizes(repeats))


@translates("cat")
def cat(call: Call, g: Writer) -> Value:
    """cat(tensors, dim=0)."""
    dtype = call.result.dtype
    # torch passes over an old kind of empty tensor.
    tensors = [tensor for tensor in call["tensors"] if tensor.shape != (0,)]
    axis = int(call["dim"]) % call.result.rank
    return g.op("Concat", *(g.as_type(tensor, dtype) for tensor in tensors), axis=axis)


@translates("stack")
def stack(call: Call, g: Writer) -> Value:
    """stack(tensors, dim=0)."""
    axis = int(call["dim"]) % call.result.rank
    return g.op("Concat", *(g.op("Unsqueeze", t.value, g.ints([axis])) for t in call["tensors"]), axis=axis)


@translates("split_with_sizes", "split", "unbind", "chunk")
def split(call: Call, g: Writer) -> tuple[Value, ...]:
    """split_with_sizes(self, split_sizes, dim=0); unbind drops the axis."""
    tensor, axis = call["self"], call.axis("dim", call["self"])
    widths: list[int] = []
    for result in call.results:
        assert result is not None
        widths.append(1 if call.name == "unbind" else result.static(axis))
    if len(widths) == 1:
        parts: tuple[Value, ...] = (tensor.value,)
    else:
        parts = g.ops("Split", tensor.value, g.ints(widths), outputs=len(widths), axis=axis)
    return tuple(g.op("Squeeze", part, g.ints([axis])) for part in parts) if call.name == "unbind" else parts


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
    if call.name == "slice_backward" and not isinstance(result.shape[axis], int):
        bounds = (g.size(call["start"]), g.size(call["end"]), g.ints([axis]), g.ints([int(call["step"])]))
        return g.op("SliceGrad", value, g.sizes(sizes_of(result)), *bounds)
    size = result.static(axis)
    if call.name == "select_backward":
        start, step, length = int(call["index"]) % size, 1, 1
        value = g.op("Unsqueeze", value, g.ints([axis]))
    else:
        chosen = range(*slice(call["start"], min(call["end"], size), call["step"]).indices(size))
        start, step, length = chosen.start, chosen.step, len(chosen)
    return _placed(g, value, result, axis, start, step, length)


@translates("slice_scatter", "select_scatter")
def part_scatter(call: Call, g: Writer) -> Value:
    """slice_scatter(self, src, dim, start, end, step), select_scatter(self, src, dim, index): src in a part of self."""
    tensor, src = call["self"], call["src"]
    axis = call.axis("dim", tensor)
    size = tensor.static(axis)
    if call.name == "select_scatter":
        chosen = [int(call["index"]) % size]
        value = g.op("Unsqueeze", src.value, g.ints([axis]))
    else:
        bounds = (call["start"] or 0, min(size, _bound(call["end"], size)), call["step"])
        chosen = list(range(*slice(*bounds).indices(size)))
        value = src.value
    if chosen == list(range(size)):
        return str(value)
    order = np.array([size + chosen.index(i) if i in chosen else i for i in range(size)], np.int64)
    return g.op("Gather", g.op("Concat", tensor.value, value, axis=axis), g.ints(order), axis=axis)


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


@translates("flip")
def flip(call: Call, g: Writer) -> Value:
    """flip(self, dims)."""
    axes = [int(axis) % call["self"].rank for axis in call["dims"]]
    ones = [-1] * len(axes)
    return g.op(
        "Slice",
        call["self"].value,
        g.ints(ones),
        g.ints([np.iinfo(np.int64).min] * len(axes)),
        g.ints(axes),
        g.ints(ones),
    )


@translates("roll")
def roll(call: Call, g: Writer) -> Value:
    """roll(self, shifts, dims)."""
    value, tensor = call["self"].value, call["self"]
    if not call["dims"]:
        raise UntranslatedError("without an axis")
    for shift, dim in zip(call["shifts"], call["dims"], strict=True):
        axis = int(dim) % tensor.rank
        size = tensor.static(axis)
        value = g.op("Gather", value, g.ints(np.roll(np.arange(size), shift)), axis=axis)
    return str(value)


@translates("tril", "triu")
def triangle(call: Call, g: Writer) -> Value:
    """tril(self, diagonal=0), triu(self, diagonal=0)."""
    tensor = call["self"]
    value = g.cast(tensor.value, torch.float32) if tensor.dtype == torch.bool else tensor.value
    kept = g.op("Trilu", value, g.ints(int(call["diagonal"])), upper=int(call.name == "triu"))
    return g.cast(kept, torch.bool) if tensor.dtype == torch.bool else kept


@translates("pixel_shuffle", "pixel_unshuffle")
def pixel_shuffle(call: Call, g: Writer) -> Value:
    """pixel_shuffle(self, upscale_factor)."""
    if call.name == "pixel_shuffle":
        return g.op("DepthToSpace", call["self"].value, blocksize=int(call["upscale_factor"]), mode="CRD")
    factor = int(call["downscale_factor"])
    n, c, h, w = sizes_of(call["self"])
    if isinstance(c, Size) or isinstance(h, Size) or isinstance(w, Size):
        raise UntranslatedError("of an image of unknown size")
    split_ = g.view(call["self"].value, [n, c, h // factor, factor, w // factor, factor])
    return g.view(g.op("Transpose", split_, perm=[0, 1, 3, 5, 2, 4]), sizes_of(call.result))
