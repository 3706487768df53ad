"""Views, copies of parts and what is put together."""

from __future__ import annotations

import math

import numpy as np
import torch

from pipeline.capture.joint.operators.call import Call, Size, Tensor, UntranslatedError, Writer, translates
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
    if call["self"].dtype != call.result.dtype:
        raise UntranslatedError("of the bits of another type; convert the numbers (x.to(dtype))")
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
    return spread(g, call["self"], call.result)


def spread(g: Writer, tensor: Tensor, result: Tensor) -> Value:
    """A tensor in the shape of another, to which it is broadcast."""
    return tensor.value if tensor.shape == result.shape else g.op("Expand", tensor.value, g.sizes(sizes_of(result)))


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
    widths = [1 if call.name == "unbind" else sizes_of(result)[axis] for result in call.results if result]
    if len(widths) == 1:
        parts: tuple[Value, ...] = (tensor.value,)
    else:
        parts = g.ops("Split", tensor.value, g.sizes(widths), outputs=len(widths), axis=axis)
    return tuple(g.op("Squeeze", part, g.ints([axis])) for part in parts) if call.name == "unbind" else parts


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
    """roll(self, shifts, dims=()): without axes that of the elements, row by row."""
    value, tensor = call["self"].value, call["self"]
    if not call["dims"]:
        flat = g.op("Reshape", value, g.ints([-1]))
        return g.view(_turned(g, flat, 0, int(call["shifts"][0])), sizes_of(tensor))
    for shift, dim in zip(call["shifts"], call["dims"], strict=True):
        axis = int(dim) % tensor.rank
        size = tensor.shape[axis]
        if isinstance(size, int):
            value = g.op("Gather", value, g.ints(np.roll(np.arange(size), shift)), axis=axis)
        else:
            value = _turned(g, value, axis, int(shift))
    return str(value)


def _turned(g: Writer, value: Value, axis: int, shift: int) -> Value:
    """An axis whose size depends on the batch: its last elements before its first."""
    size = g.op("Shape", value, start=axis, end=axis + 1)
    first = g.op("Sub", size, g.op("Mod", g.ints([shift]), size))
    parts = ((first, size), (g.ints([0]), first))
    return g.op("Concat", *(g.op("Slice", value, *bounds, g.ints([axis])) for bounds in parts), axis=axis)


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
