"""Pooling, resizing, and their gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pipeline.capture.joint.operators.call import Call, Tensor, UntranslatedError, Writer, translates
from pipeline.graphs.graph import Value

Matrix = npt.NDArray[np.float32]


@translates("max_pool2d_with_indices", "max_pool3d_with_indices")
def max_pool(call: Call, g: Writer) -> Value | tuple[Value, ...]:
    """max_pool2d_with_indices(self, kernel_size, stride, padding, dilation, ceil_mode) → values, indices.

    ONNX counts the indices over all images and channels, torch within each; the gradient takes ONNX's.
    """
    attributes = _window(call) | {"dilations": _each(call["dilation"], call)}
    if not call.wanted[1]:
        return g.op("MaxPool", call["self"].value, **attributes), ""
    values, indices = g.ops("MaxPool", call["self"].value, outputs=2, **attributes)
    axes = len(attributes["kernel_shape"])
    plane = math.prod(call["self"].static(axis) for axis in range(call["self"].rank - axes, call["self"].rank))
    within = g.op("Mod", indices, g.ints(plane))
    g.remember(within, (indices,))
    return values, within


@translates("max_pool2d_with_indices_backward", "max_pool3d_with_indices_backward")
def max_pool_backward(call: Call, g: Writer) -> Value:
    """max_pool2d_with_indices_backward(grad_output, self, kernel_size, …, indices)."""
    attributes = _window(call) | {"dilations": _each(call["dilation"], call)}
    (indices,) = g.recall(call["indices"].value)
    return g.op("MaxPoolGrad", call["grad_output"].value, indices, **attributes)


@translates("avg_pool1d", "avg_pool2d", "avg_pool3d")
def average_pool(call: Call, g: Writer) -> Value:
    """avg_pool2d(self, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)."""
    attributes, factor = _averaging(call)
    pooled = g.op("AveragePool", call["self"].value, **attributes)
    return pooled if factor == 1 else g.op("Mul", pooled, g.floats(factor))


@translates("avg_pool2d_backward", "avg_pool3d_backward")
def average_pool_backward(call: Call, g: Writer) -> Value:
    """avg_pool2d_backward(grad_output, self, kernel_size, …)."""
    attributes, factor = _averaging(call)
    gradient = call["grad_output"].value
    return g.op("AveragePoolGrad", gradient if factor == 1 else g.op("Mul", gradient, g.floats(factor)), **attributes)


def _averaging(call: Call) -> tuple[dict[str, Any], float]:
    """The attributes of AveragePool, and what its result is multiplied with."""
    window, divisor = _window(call), call.get("divisor_override")
    if divisor is None:
        return window | {"count_include_pad": int(bool(call["count_include_pad"]))}, 1.0
    if call["ceil_mode"]:
        raise UntranslatedError("with divisor_override and ceil_mode: pad the image and leave ceil_mode out")
    return window | {"count_include_pad": 1}, math.prod(window["kernel_shape"]) / float(divisor)


def _window(call: Call) -> dict[str, Any]:
    window, padding = _each(call["kernel_size"], call), _each(call["padding"], call)
    strides = _each(call["stride"], call) if call["stride"] else window
    attributes = {"kernel_shape": window, "strides": strides, "pads": [*padding, *padding]}
    if not call["ceil_mode"]:
        return attributes
    image, pooled = call["self"], call.get("grad_output") or call.result
    dilation = _each(call.get("dilation", 1), call)
    floors, ceilings, counts = [], [], []
    for axis, (size, stride, pad, step) in enumerate(zip(window, strides, padding, dilation, strict=True)):
        place = axis - len(window)
        rest = image.static(place) + 2 * pad - step * (size - 1) - 1
        floors.append(rest // stride + 1)
        ceilings.append(-(-rest // stride) + 1)
        counts.append(pooled.static(place))
    if counts == floors:
        return attributes
    # Which torch leaves out, and ONNX Runtime does not.
    if counts != ceilings:
        raise UntranslatedError("with a last window that starts behind the image: pad it, and leave ceil_mode out")
    return attributes | {"ceil_mode": 1}


def _each(numbers: Any, call: Call) -> list[int]:
    count = 3 if "3d" in call.name else 1 if "1d" in call.name else 2
    given = list(numbers) if isinstance(numbers, (list, tuple)) else [numbers]
    return [int(number) for number in (given if len(given) == count else given * count)]


@translates("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool1d")
def adaptive_average_pool(call: Call, g: Writer) -> Value:
    """_adaptive_avg_pool2d(self, output_size): the mean over windows that cover the image evenly."""
    return _along_axes(g, call["self"].value, call["self"].rank, _adaptive(call["self"], call.result))


@translates("_adaptive_avg_pool2d_backward", "_adaptive_avg_pool3d_backward")
def adaptive_average_pool_backward(call: Call, g: Writer) -> Value:
    """_adaptive_avg_pool2d_backward(grad_output, self)."""
    gradient = call["grad_output"]
    matrices = {axis: matrix.T for axis, matrix in _adaptive(call["self"], gradient).items()}
    return _along_axes(g, gradient.value, gradient.rank, matrices)


def _adaptive(image: Tensor, pooled: Tensor) -> dict[int, Matrix]:
    spatial = 1 if image.rank == 3 else image.rank - 2
    found: dict[int, Matrix] = {}
    for axis in range(image.rank - spatial, image.rank):
        eye = torch.eye(image.static(axis))
        found[axis] = torch.nn.functional.adaptive_avg_pool1d(eye, pooled.static(axis)).numpy().T
    return found


_RESIZES = (
    *("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "_upsample_nearest_exact1d"),
    *("_upsample_nearest_exact2d", "upsample_linear1d", "upsample_bilinear2d", "upsample_bicubic2d"),
    *("_upsample_nearest_exact3d", "upsample_trilinear3d", "_upsample_bilinear2d_aa"),
)


@translates(*_RESIZES)
def resize(call: Call, g: Writer) -> Value:
    """upsample_bilinear2d(self, output_size, align_corners, scales) and the like: a product along each axis."""
    image = call.get("self") or call["input"]
    return _along_axes(g, image.value, image.rank, _resizing(call, image, call.result))


@translates(*(f"{name}_backward" for name in _RESIZES))
def resize_backward(call: Call, g: Writer) -> Value:
    """upsample_bilinear2d_backward(grad_output, output_size, input_size, align_corners, …)."""
    gradient = call["grad_output"]
    matrices = {axis: matrix.T for axis, matrix in _resizing(call, call.result, gradient).items()}
    return _along_axes(g, gradient.value, gradient.rank, matrices)


def _resizing(call: Call, image: Tensor, resized: Tensor) -> dict[int, Matrix]:
    """For each axis, out × in: what torch itself makes of each pixel alone."""
    name = call.name.removesuffix("_backward")
    antialias = name.endswith("_aa")
    exact = "nearest_exact" in name
    kind = "nearest-exact" if exact else next(k for k in ("nearest", "bilinear", "bicubic", "linear") if k in name)
    mode = {"bilinear": "linear", "linear": "linear"}.get(kind, kind)
    corners = call.get("align_corners")
    found: dict[int, Matrix] = {}
    for number, axis in enumerate(range(2, image.rank)):
        size, out = image.static(axis), resized.static(axis)
        factor = _factor(call, number)
        eye = torch.eye(size).reshape(1, size, size)
        if mode in ("linear", "bicubic"):
            wide = eye.reshape(1, size, 1, size)
            full = "bilinear" if mode == "linear" else mode
            options = {"mode": full, "align_corners": corners, "antialias": antialias}
            made = _interpolated(wide, (1, out), (None, factor), options)[0, :, 0]
        else:
            made = _interpolated(eye, (out,), (factor,), {"mode": mode})[0]
        found[axis] = made.numpy().T
    return found


def _factor(call: Call, number: int) -> float | None:
    """The scale that an axis was given; torch computes with it where it is given, and with the sizes' ratio else."""
    scales = call.get("scale_factors")
    if scales:
        return float(scales[number])
    names = ("scales",) if call.get("scales") is not None else ("scales_d", "scales_h", "scales_w")
    given = [call.get(name) for name in names if name in call.arguments]
    value = given[number] if number < len(given) else None
    return None if value is None else float(value)


def _interpolated(
    image: torch.Tensor, size: tuple[int, ...], factors: tuple[float | None, ...], options: dict[str, Any]
) -> torch.Tensor:
    if factors[-1] is None:
        return torch.nn.functional.interpolate(image, size, **options)
    scale = tuple(1.0 if factor is None else factor for factor in factors)
    return torch.nn.functional.interpolate(image, scale_factor=scale, recompute_scale_factor=False, **options)


def _along_axes(g: Writer, value: Value, rank: int, matrices: dict[int, Matrix]) -> Value:
    """Multiplies a tensor along each axis with its matrix, out × in."""
    for axis, matrix in matrices.items():
        if matrix.shape[0] == matrix.shape[1] and np.array_equal(matrix, np.eye(len(matrix), dtype=np.float32)):
            continue
        if axis == rank - 1:
            value = g.op("MatMul", value, g.floats(np.ascontiguousarray(matrix.T)))
        elif axis == rank - 2:
            value = g.op("MatMul", g.floats(matrix), value)
        else:
            order = list(range(rank))
            order[axis], order[-1] = order[-1], order[axis]
            moved = g.op("Transpose", value, perm=order)
            value = g.op("Transpose", g.op("MatMul", moved, g.floats(np.ascontiguousarray(matrix.T))), perm=order)
    return value
