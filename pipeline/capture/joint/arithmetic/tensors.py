"""The functions and methods of tensors for which those of this folder stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from pipeline.capture.joint.arithmetic import matrices, of_tensors

Function = Callable[..., Any]

_BUFFER = "compute it once and keep it as a buffer"

# By the names that they have in torch, as methods of tensors and in torch.linalg: given torch's own and its arguments.
GIVEN_TORCHS: Mapping[str, Function] = {
    "sgn": of_tensors.sgn,
    "cov": of_tensors.cov,
    "take_along_dim": of_tensors.take_along_dim,
    "gradient": of_tensors.gradient,
    "fill_diagonal_": of_tensors.fill_diagonal_,
    "matrix_norm": of_tensors.matrix_norm,
}
# Given the arguments alone.
ALONE: Mapping[str, Function] = {
    "cdist": of_tensors.cdist,
    "corrcoef": of_tensors.corrcoef,
    "kron": of_tensors.kron,
    "stft": of_tensors.stft,
    "istft": matrices.none_of("istft", "take torch.fft.irfft of the frames and add them by torch.nn.functional.fold"),
    "inv": matrices.inv,
    "inverse": matrices.inv,
    "solve": matrices.solve,
    "det": matrices.det,
    "slogdet": matrices.slogdet,
    "logdet": matrices.logdet,
    "solve_triangular": matrices.solve_triangular,
    "cholesky": matrices.cholesky,
    "cholesky_solve": matrices.cholesky_solve,
    "matrix_exp": matrices.matrix_exp,
    "householder_product": matrices.householder_product,
    "qr": matrices.none_of("qr", f"{_BUFFER}, or orthogonalise by torch.linalg.solve_triangular of a Cholesky factor"),
    "eig": matrices.none_of("eig", _BUFFER),
    "eigvals": matrices.none_of("eigvals", _BUFFER),
    "lstsq": matrices.none_of("lstsq", "solve the normal equations by torch.linalg.solve"),
    "masked_select": matrices.none_of("masked_select", "its result has a size that only values tell: use torch.where"),
}


def places_of(name: str) -> list[Function]:
    """Torch's functions of that name."""
    found = (getattr(place, name, None) for place in (torch, Tensor, torch.linalg))
    return [function for function in found if function is not None]
