"""Linear algebra of small matrices: by elimination, column by column; the gradients by their formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pipeline.errors import ModelError

# Of larger ones, a graph that eliminates column by column would have more nodes than the network.
LARGEST = 32


def _eliminated(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The inverse of …×S×S, the signs and the logarithms of the pivots …×S; Gauss and Jordan, with pivots."""
    size = matrix.shape[-1]
    places = torch.arange(size)
    whole = torch.cat([matrix, torch.eye(size, dtype=matrix.dtype).expand(matrix.shape)], -1)
    signs, logs = [], []
    for column in range(size):
        current = whole[..., column]
        below = torch.where(places >= column, current.abs(), -1.0)
        # The row of the pivot changes places with the current one.
        chosen = below.argmax(-1, keepdim=True)
        order = torch.where(places == column, chosen, torch.where(places == chosen, column, places))
        whole = torch.gather(whole, -2, order.unsqueeze(-1).expand(whole.shape))
        pivot = whole[..., column : column + 1, column : column + 1]
        row = whole[..., column : column + 1, :] / pivot
        factors = torch.where(places == column, 0.0, whole[..., column]).unsqueeze(-1)
        whole = torch.where((places == column).unsqueeze(-1), row, whole - factors * row)
        number = pivot[..., 0, 0]
        signs.append(torch.where(chosen[..., 0] == column, 1.0, -1.0) * torch.sign(number))
        logs.append(number.abs().log())
    return whole[..., size:], torch.stack(signs, -1), torch.stack(logs, -1)


class _Inverse(torch.autograd.Function):
    """…×S×S → the inverse, the determinant's sign and the logarithm of its size …."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        inverse, signs, logs = _eliminated(matrix)
        ctx.save_for_backward(inverse)
        sign = signs.prod(-1)
        ctx.mark_non_differentiable(sign)
        return inverse, sign, logs.sum(-1)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Tensor:
        of_inverse, _, of_log = gradients
        (inverse,) = ctx.saved_tensors
        turned = inverse.mT
        total: Tensor = of_log[..., None, None] * turned - turned @ of_inverse @ turned
        return total


def _check_size(size: int) -> None:
    if size > LARGEST:
        raise ModelError(
            f"linear algebra of matrices {size}×{size} has no form in the ONNX standard, and here only up to "
            f"{LARGEST}×{LARGEST}: compute it once and keep it as a buffer, or let the model learn the matrix itself"
        )


def _decomposed(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    _check_size(matrix.shape[-1])
    result: tuple[Tensor, Tensor, Tensor] = _Inverse.apply(matrix)  # type: ignore[no-untyped-call]
    return result


def inv(input: Tensor) -> Tensor:
    """The inverse of …×S×S."""
    return _decomposed(input)[0]


def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:  # noqa: N803 - as torch calls them
    """X of A X = B, or X A = B."""
    if B.dim() == 1 or (B.dim() == A.dim() - 1 and B.shape == A.shape[:-1]):
        return (inv(A) @ B.unsqueeze(-1)).squeeze(-1)
    return inv(A) @ B if left else B @ inv(A)


def det(input: Tensor) -> Tensor:
    """The determinants of …×S×S."""
    sign, log = slogdet(input)
    return sign * log.exp()


def slogdet(input: Tensor) -> tuple[Tensor, Tensor]:
    """Sign and logarithm of the determinants of …×S×S."""
    return _decomposed(input)[1:]


def logdet(input: Tensor) -> Tensor:
    """Logarithm of the determinants of …×S×S."""
    sign, log = slogdet(input)
    return torch.where(sign < 0, float("nan"), log)


def solve_triangular(
    A: Tensor,  # noqa: N803
    B: Tensor,  # noqa: N803
    *,
    upper: bool,
    left: bool = True,
    unitriangular: bool = False,
) -> Tensor:
    """X of A X = B with the triangle of A."""
    triangle = A.triu() if upper else A.tril()
    if unitriangular:
        triangle = triangle - torch.diag_embed(torch.diagonal(triangle, dim1=-2, dim2=-1) - 1)
    return solve(triangle, B, left=left)


class _Cholesky(torch.autograd.Function):
    """Positive definite …×S×S → L of A = L Lᵀ. The gradient: Murray, arXiv:1602.07527."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor) -> Tensor:
        size = matrix.shape[-1]
        places = torch.arange(size)
        columns = []
        rest = matrix
        for column in range(size):
            root = rest[..., column, column].sqrt()[..., None]
            current = torch.where(places >= column, rest[..., column] / root, 0.0)
            columns.append(current)
            rest = rest - current.unsqueeze(-1) * current.unsqueeze(-2)
        lower = torch.stack(columns, -1)
        ctx.save_for_backward(lower)
        return lower

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Tensor:
        (lower,) = ctx.saved_tensors
        inverse = _eliminated(lower)[0]
        inner = (lower.mT @ gradients[0]).tril()
        inner = inner - 0.5 * torch.diag_embed(torch.diagonal(inner, dim1=-2, dim2=-1))
        total = inverse.mT @ inner @ inverse
        symmetric: Tensor = 0.5 * (total + total.mT)
        return symmetric


def cholesky(input: Tensor, *, upper: bool = False) -> Tensor:
    """L of A = L Lᵀ, or its transpose."""
    _check_size(input.shape[-1])
    lower: Tensor = _Cholesky.apply(input)  # type: ignore[no-untyped-call]
    return lower.mT if upper else lower


def cholesky_solve(B: Tensor, L: Tensor, upper: bool = False) -> Tensor:  # noqa: N803
    """X of L Lᵀ X = B."""
    inverse = inv(L.mT if upper else L)
    return inverse.mT @ (inverse @ B)


def matrix_exp(input: Tensor) -> Tensor:
    """The exponential of …×S×S: of a 256th its series, without the 1, which is squared eight times."""
    x = input / 256
    power = x
    total = x
    for step in range(2, 8):
        power = power @ x / step
        total = total + power
    for _ in range(8):
        total = 2 * total + total @ total
    return total + torch.eye(input.shape[-1], dtype=input.dtype)


def householder_product(input: Tensor, tau: Tensor) -> Tensor:
    """Columns …×M×K of the product of the reflections I − tau v vᵀ; v is what is below the diagonal, and 1."""
    rows, columns = input.shape[-2:]
    _check_size(columns)
    unit = torch.eye(rows, columns, dtype=input.dtype)
    vectors = input.tril(-1) + unit
    product = unit.expand(input.shape)
    for column in reversed(range(tau.shape[-1])):
        vector = vectors[..., column : column + 1]
        product = product - tau[..., column, None, None] * vector @ (vector.mT @ product)
    return product


def none_of(name: str, instead: str) -> Callable[..., Any]:
    """A function that refuses to be in a model."""

    def refuse(*args: Any, **options: Any) -> Any:
        raise ModelError(f"torch's {name} has no form in the ONNX standard: {instead}")

    return refuse
