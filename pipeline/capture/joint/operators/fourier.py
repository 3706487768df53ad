"""Fourier transforms: along each axis a product with the matrix of its cosines and sines."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pipeline.capture.joint.operators.call import Call, Complex, Tensor, Writer, translates_complex
from pipeline.graphs.graph import Value


@translates_complex("_fft_r2c")
def real_to_complex(call: Call, g: Writer) -> Complex:
    """_fft_r2c(self, dim, normalization, onesided): along the last of the axes from real numbers, then as _fft_c2c."""
    *others, last = _axes(call)
    size = call["self"].static(last)
    matrix = _matrix(size, call.result.static(last), -1, _factor(call, size))
    value = _along(g, call["self"].value, call["self"].rank, last, np.hstack([matrix.real, matrix.imag]))
    parts = Complex(*g.ops("Split", value, outputs=2, axis=last))
    return _of_each(g, parts, call, others, -1)


@translates_complex("_fft_c2c")
def complex_to_complex(call: Call, g: Writer) -> Complex:
    """_fft_c2c(self, dim, normalization, forward)."""
    given = Complex(call["self"].value, call["self"].imaginary)
    return _of_each(g, given, call, _axes(call), -1 if call["forward"] else 1)


@translates_complex("_fft_c2r")
def complex_to_real(call: Call, g: Writer) -> Value:
    """_fft_c2r(self, dim, normalization, last_dim_size): as _fft_c2c, along the last of the axes to real numbers."""
    tensor: Tensor = call["self"]
    *others, last = _axes(call)
    parts = _of_each(g, Complex(tensor.value, tensor.imaginary), call, others, 1)
    size, given = int(call["last_dim_size"]), tensor.static(last)
    # Every frequency but the first and, of an even size, the last stands for its mirror image, too.
    times = np.array([1 if frequency in (0, size / 2) else 2 for frequency in range(given)])[:, None]
    matrix = times * _matrix(given, size, 1, _factor(call, size), period=size)
    joined = g.op("Concat", *parts, axis=last)
    return _along(g, joined, tensor.rank, last, np.vstack([matrix.real, -matrix.imag]))


def _axes(call: Call) -> list[int]:
    return [int(axis) % call["self"].rank for axis in call["dim"]]


def _factor(call: Call, size: int) -> float:
    """Torch's numbers for what a transform is divided by: nothing, the root of the size, the size."""
    return float([1, 1 / math.sqrt(size), 1 / size][int(call["normalization"])])


def _matrix(rows: int, columns: int, sign: int, factor: float, period: int = 0) -> npt.NDArray[np.complex128]:
    """rows×columns, factor × e^(sign × 2πi × row × column / period); the period is that of the rows."""
    turns = np.outer(np.arange(rows), np.arange(columns)) % (period or rows) / (period or rows)
    return np.asarray(factor * np.exp(sign * 2j * np.pi * turns), np.complex128)


def _of_each(g: Writer, parts: Complex, call: Call, axes: list[int], sign: int) -> Complex:
    for axis in axes:
        size = call["self"].static(axis)
        matrix = _matrix(size, size, sign, _factor(call, size))
        whole = np.block([[matrix.real, matrix.imag], [-matrix.imag, matrix.real]])
        value = _along(g, g.op("Concat", *parts, axis=axis), call["self"].rank, axis, whole)
        parts = Complex(*g.ops("Split", value, outputs=2, axis=axis))
    return parts


def _along(g: Writer, value: Value, rank: int, axis: int, matrix: npt.NDArray[np.float64]) -> Value:
    """The product of an axis with a matrix in×out."""
    if axis == rank - 2:
        return g.op("MatMul", g.floats(matrix.T), value)
    order = list(range(rank))
    order[axis], order[-1] = order[-1], order[axis]
    if axis == rank - 1:
        return g.op("MatMul", value, g.floats(matrix))
    return g.op("Transpose", g.op("MatMul", g.op("Transpose", value, perm=order), g.floats(matrix)), perm=order)
