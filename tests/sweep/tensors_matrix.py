"""Products of matrices and vectors, and linear algebra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tests.sweep.case import Case, function


def _matrix(operation: Callable[[Tensor], Any], refused: str = "") -> Case:
    return function(operation, 3, 4, 4, refused=refused)


def _regular(x: Tensor) -> Tensor:
    """Matrices that have an inverse, N×3×4×4."""
    return x * 0.3 + 2 * torch.eye(4)


def _positive(x: Tensor) -> Tensor:
    """Symmetric positive definite ones."""
    return x @ x.mT * 0.3 + 2 * torch.eye(4)


def _rows(x: Tensor) -> Tensor:
    """One row for each image, N×48."""
    return x.flatten(1)


def _square(x: Tensor) -> Tensor:
    """One matrix of the whole batch, 4×4."""
    return x.mean((0, 1))


MATRIX: dict[str, Case] = {
    "addbmm": _matrix(lambda x: x + torch.addbmm(_square(x), x[:, 0], x[:, 1], beta=0.5, alpha=0.1)),
    "addmm": _matrix(lambda x: torch.addmm(x[:, 0, 0], x[:, 0, 1], _square(x), beta=0.5, alpha=2)),
    "addmv": _matrix(lambda x: x * torch.addmv(_square(x)[0], _square(x), _square(x)[1], beta=0.5, alpha=2)),
    "addr": _matrix(lambda x: x + torch.addr(_square(x), _square(x)[0], _square(x)[1], beta=0.5, alpha=2)),
    "baddbmm": _matrix(lambda x: torch.baddbmm(x[:, 0], x[:, 1], x[:, 2], beta=0.5, alpha=2)),
    "baddbmm, of no weight": _matrix(lambda x: torch.baddbmm(x[:, 0], x[:, 1], x[:, 2], beta=0)),
    "bilinear": _matrix(lambda x: torch.einsum("nci,cij,ncj->nc", x[:, :, 0], x.mean(0), x[:, :, 1])),
    "bmm": _matrix(lambda x: torch.bmm(x[:, 0], x[:, 1].transpose(1, 2))),
    "cdist": _matrix(lambda x: torch.cdist(x[:, 0], x[:, 1])),
    "cdist, p=1": _matrix(lambda x: torch.cdist(x[:, 0], x[:, 1], p=1)),
    "chain_matmul": _matrix(lambda x: x @ torch.linalg.multi_dot([_square(x)] * 3)),
    "cross": _matrix(lambda x: torch.cross(x[..., 0], x[..., 1], dim=1)),
    "linalg.cross": _matrix(lambda x: torch.linalg.cross(x[..., :3], x[..., 1:])),
    "dot": _matrix(lambda x: x * torch.dot(_square(x)[0], _square(x)[1])),
    "einsum, ij->ji": _matrix(lambda x: torch.einsum("nchw->nwhc", x)),
    "einsum, a sum": _matrix(lambda x: torch.einsum("nchw->nc", x)),
    "einsum, a diagonal": _matrix(lambda x: torch.einsum("ncii->nci", x)),
    "einsum, a trace": _matrix(lambda x: torch.einsum("ncii->nc", x)),
    "einsum, attention": _matrix(lambda x: torch.einsum("bhid,bhjd->bhij", x, x)),
    "einsum, an outer product": _matrix(lambda x: torch.einsum("ni,nj->nij", _rows(x)[:, :5], _rows(x)[:, 5:9])),
    "einsum, of a batch": _matrix(lambda x: torch.einsum("b...d,de->b...e", x, _square(x))),
    "einsum, of three": _matrix(lambda x: torch.einsum("nij,njk,kl->nil", x[:, 0], x[:, 1], _square(x))),
    "einsum, over the batch": _matrix(lambda x: x * torch.einsum("nchw,nchv->wv", x, x)),
    "einsum, implicit": _matrix(lambda x: torch.einsum("abci,ij", x, _square(x))),
    "einsum, element by element": _matrix(lambda x: torch.einsum("nchw,nchw,c->nchw", x, x, x.mean((0, 2, 3)))),
    "ger": _matrix(lambda x: x * torch.ger(_square(x)[0], _square(x)[1])),
    "inner": _matrix(lambda x: torch.inner(x, _square(x))),
    "matmul, of matrices": _matrix(lambda x: _rows(x)[:, :4] @ _square(x)),
    "matmul, of many": _matrix(lambda x: x @ x.transpose(-1, -2)),
    "matmul, broadcast": _matrix(lambda x: x[:, :1] @ x),
    "matmul, of a matrix and many": _matrix(lambda x: _square(x) @ x),
    "matmul, of a vector": _matrix(lambda x: x @ _square(x)[0]),
    "matmul, of a vector and many": _matrix(lambda x: _square(x)[0] @ x),
    "matmul, of vectors": _matrix(lambda x: x * (_square(x)[0] @ _square(x)[1])),
    "matrix_power": _matrix(lambda x: torch.matrix_power(x, 3)),
    "matrix_power, 0": _matrix(lambda x: torch.matrix_power(x, 0) + x),
    "mm": _matrix(lambda x: torch.mm(_rows(x), _rows(x).t()).mean(1, keepdim=True)),
    "mv": _matrix(lambda x: torch.mv(_rows(x)[:, :4], _square(x)[0]).unsqueeze(1)),
    "outer": _matrix(lambda x: x * torch.outer(_square(x)[0], _square(x)[1])),
    "tensordot": _matrix(lambda x: torch.tensordot(x, x.mean(0), dims=([1, 3], [0, 2]))),
    "tensordot, of a number": _matrix(lambda x: torch.tensordot(x, x.mean(0).transpose(0, 1), dims=1)),
    "vdot": _matrix(lambda x: x * torch.vdot(_square(x)[0], _square(x)[1])),
    "vecdot": _matrix(lambda x: torch.linalg.vecdot(x, x + 1)),
    "cholesky": _matrix(lambda x: torch.linalg.cholesky(_positive(x))),
    "cholesky_solve": _matrix(lambda x: torch.cholesky_solve(x, torch.linalg.cholesky(_positive(x)))),
    "det": _matrix(lambda x: torch.linalg.det(_regular(x))),
    "eigh": _matrix(
        lambda x: torch.linalg.eigh(_positive(x))[0],
        refused="_linalg_eigh (in the model itself): the standard has no decomposition",
    ),
    "eig": _matrix(lambda x: torch.linalg.eigvals(_regular(x)).real, refused="torch's eigvals has no form"),
    "householder_product": _matrix(lambda x: torch.linalg.householder_product(x, x[..., 0])),
    "inv": _matrix(lambda x: torch.linalg.inv(_regular(x))),
    "logdet": _matrix(lambda x: torch.logdet(_positive(x))),
    "lstsq": _matrix(lambda x: torch.linalg.lstsq(_regular(x), x).solution, refused="torch's lstsq has no form"),
    "lu": _matrix(lambda x: torch.linalg.lu(_regular(x))[2], refused="linalg_lu: the standard has no decomposition"),
    "matrix_exp": _matrix(lambda x: torch.matrix_exp(x)),
    "matrix_rank": _matrix(
        lambda x: x + torch.linalg.matrix_rank(x).unsqueeze(-1).unsqueeze(-1),
        refused="_linalg_svd (in the model itself): the standard",
    ),
    "pinv": _matrix(
        lambda x: torch.linalg.pinv(_regular(x)), refused="linalg_pinv (in the model itself): the standard"
    ),
    "qr": _matrix(lambda x: torch.linalg.qr(_regular(x))[0], refused="torch's qr has no form"),
    "slogdet": _matrix(lambda x: torch.linalg.slogdet(_regular(x))[1]),
    "solve": _matrix(lambda x: torch.linalg.solve(_regular(x), x)),
    "solve_triangular": _matrix(lambda x: torch.linalg.solve_triangular(_regular(x).tril(), x, upper=False)),
    "svd": _matrix(lambda x: torch.linalg.svd(x)[1], refused="_linalg_svd (in the model itself): the standard"),
    "svdvals": _matrix(lambda x: torch.linalg.svdvals(x), refused="_linalg_svd (in the model itself): the standard"),
}
