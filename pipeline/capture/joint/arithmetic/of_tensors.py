"""Functions of tensors that torch has in C++ alone, where sizes have to be numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.errors import ModelError


def sgn(torchs: Callable[..., Tensor], input: Tensor) -> Tensor:
    """Torch's of that name; of real numbers their sign."""
    return torchs(input) if input.is_complex() else torch.sign(input)


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = None) -> Tensor:
    """Torch's of that name: …×P×M and …×R×M → …×P×R."""
    distance: Tensor = torch.linalg.vector_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, dim=-1)
    return distance


def cov(
    torchs: Callable[..., Tensor],
    input: Tensor,
    *,
    correction: int = 1,
    fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Tensor:
    """Torch's of that name, without weights: variables×observations → variables×variables."""
    if fweights is not None or aweights is not None:
        return torchs(input, correction=correction, fweights=fweights, aweights=aweights)
    rows = _centred(input)
    return (rows @ rows.t().conj() / (rows.shape[1] - correction)).reshape((rows.shape[0],) * (2 * input.dim() - 2))


def _centred(input: Tensor) -> Tensor:
    """Variables×observations, of a single variable too, less the mean of each."""
    rows = input.reshape(-1, input.shape[-1])
    return rows - rows.mean(1, keepdim=True)


def corrcoef(input: Tensor) -> Tensor:
    """Torch's of that name: variables×observations → variables×variables."""
    rows = _centred(input)
    normal: Tensor = rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return (normal @ normal.t()).clamp(-1, 1).reshape((rows.shape[0],) * (2 * input.dim() - 2))


def kron(input: Tensor, other: Tensor) -> Tensor:
    """Torch's of that name."""
    rank = max(input.dim(), other.dim())
    left, right = (x.reshape((1,) * (rank - x.dim()) + x.shape) for x in (input, other))
    for axis in range(rank):
        left, right = left.unsqueeze(2 * axis + 1), right.unsqueeze(2 * axis)
    product = left * right
    return product.reshape([product.shape[2 * axis] * product.shape[2 * axis + 1] for axis in range(rank)])


def take_along_dim(torchs: Callable[..., Tensor], input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """Torch's of that name, of an index of the tensor's size but for the axis."""
    if dim is None or input.dim() != indices.dim():
        return torchs(input, indices, dim)
    axis = dim % input.dim()
    shape = torch.broadcast_shapes(  # type: ignore[no-untyped-call]
        *(tuple(1 if place == axis else size for place, size in enumerate(x.shape)) for x in (input, indices))
    )
    whole, places = (x.expand(*shape[:axis], x.shape[axis], *shape[axis + 1 :]) for x in (input, indices))
    return torch.gather(whole, axis, places)


def gradient(torchs: Callable[..., Any], input: Tensor, **options: Any) -> Any:
    """Torch's of that name, along axes that are named, with even spacing."""
    dims, spacing = options.get("dim"), options.get("spacing", 1)
    if dims is None or not isinstance(spacing, (int, float)) or options.get("edge_order", 1) != 1:
        return torchs(input, **options)
    slopes = []
    for axis in [dims] if isinstance(dims, int) else dims:
        size = input.shape[axis]
        ends = input.narrow(axis, 1, size - 1) - input.narrow(axis, 0, size - 1)
        inner = (input.narrow(axis, 2, size - 2) - input.narrow(axis, 0, size - 2)) / 2
        slopes.append(torch.cat([ends.narrow(axis, 0, 1), inner, ends.narrow(axis, size - 2, 1)], axis) / spacing)
    return tuple(slopes)


def fill_diagonal_(torchs: Callable[..., Tensor], tensor: Tensor, value: float, wrap: bool = False) -> Tensor:
    """Torch's of that name, of a matrix."""
    if tensor.dim() != 2 or wrap:
        return torchs(tensor, value, wrap)
    tensor.diagonal().fill_(value)
    return tensor


def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:
    """Torch's of that name, of real signals …×L → …×frequencies×frames."""
    weights = torch.ones(win_length or n_fft) if window is None else window
    left = (n_fft - weights.shape[0]) // 2
    weights = functional.pad(weights, (left, n_fft - weights.shape[0] - left))
    signals = input.reshape(1, -1, input.shape[-1])
    if center:
        signals = functional.pad(signals, (n_fft // 2, n_fft // 2), mode=pad_mode)
    frames = signals.unfold(-1, n_fft, hop_length or n_fft // 4) * weights
    transform = torch.fft.fft if onesided is False else torch.fft.rfft
    result: Tensor = transform(frames, norm="ortho" if normalized else "backward").transpose(-1, -2)
    result = result.reshape(*input.shape[:-1], *result.shape[2:])
    return result if return_complex else torch.view_as_real(result)


def matrix_norm(
    torchs: Callable[..., Tensor],
    A: Tensor,  # noqa: N803 - as torch calls it
    ord: str | float = "fro",
    dim: tuple[int, int] = (-2, -1),
    keepdim: bool = False,
) -> Tensor:
    """Torch's of that name; the largest or smallest sum of a column (±1) or row (±inf)."""
    if ord in ("nuc", 2, -2):
        raise ModelError(
            f"torch's matrix_norm of order {ord} has no form in the ONNX standard, which has no singular values: use "
            "the Frobenius norm"
        )
    if isinstance(ord, str):
        return torchs(A, ord, dim, keepdim)
    summed, other = (axis % A.dim() for axis in (dim if abs(ord) == 1 else dim[::-1]))
    sums = A.abs().sum(summed, keepdim=True)
    norm = sums.amax(other, keepdim=True) if ord > 0 else sums.amin(other, keepdim=True)
    return norm if keepdim else norm.squeeze((summed, other))
