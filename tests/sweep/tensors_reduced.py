"""Reductions, norms, what is cumulated and what is sorted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tests.sweep.case import Case, function


def _reduced(operation: Callable[[Tensor], Any], refused: str = "") -> Case:
    return function(operation, 3, 4, 5, refused=refused)


def _all(operation: Callable[[Tensor], Tensor], refused: str = "") -> Case:
    """Of the whole batch to one number, which each image adds to."""
    return function(lambda x: x + operation(x), 3, 4, refused=refused)


def _ties(x: Tensor) -> Tensor:
    """With elements that are equal, trained along."""
    return torch.cat([x, x[..., :2]], -1)


def _norms(order: Any) -> Case:
    return _reduced(lambda x: torch.linalg.vector_norm(x, order, dim=(1, 3)))


REDUCED: dict[str, Case] = {
    "all": _reduced(lambda x: x * (x > 0).all(2, keepdim=True) + (x > -2).all()),
    "all, of axes": _reduced(lambda x: x * (x > -0.9).all((1, 3), keepdim=True)),
    "amax": _reduced(lambda x: torch.amax(_ties(x), (1, 3))),
    "amax, kept": _reduced(lambda x: x - x.amax(-1, keepdim=True)),
    "amax, of all": _all(lambda x: torch.amax(x)),
    "amin": _reduced(lambda x: torch.amin(_ties(x), -1)),
    "aminmax": _reduced(lambda x: torch.aminmax(x, dim=2)),
    "aminmax, of all": _all(lambda x: torch.aminmax(x)[0] + torch.aminmax(x)[1]),
    "any": _reduced(lambda x: x * (x > 0.9).any(2, keepdim=True)),
    "argmax": _reduced(lambda x: x[..., 0] * torch.argmax(x, -1)),
    "argmax, of all": _all(lambda x: x.argmax() * 0.1),
    "argmin": _reduced(lambda x: x[:, :1] * torch.argmin(x, 1, keepdim=True)),
    "argsort": _reduced(lambda x: x * torch.argsort(x, -1)),
    "argsort, descending": _reduced(lambda x: x * x.argsort(dim=1, descending=True, stable=True)),
    "bincount": _reduced(
        lambda x: x + torch.bincount((x.detach() > 0).long().flatten())[0],
        refused="bincount (in the model itself): its result has a size",
    ),
    "corrcoef": _all(lambda x: torch.corrcoef(x.flatten(1).t()).sum()),
    "count_nonzero": _reduced(lambda x: x[..., 0] * torch.count_nonzero(x > 0, -1)),
    "count_nonzero, of all": _all(lambda x: torch.count_nonzero(x > 0) * 0.01),
    "cov": _all(lambda x: torch.cov(x.flatten(1).t()).sum()),
    "cummax": _reduced(lambda x: torch.cummax(x, 3)[0]),
    "cummin": _reduced(lambda x: torch.cummin(x, 2)),
    "cumprod": _reduced(lambda x: torch.cumprod(x + 1.5, 3)),
    "cumsum": _reduced(lambda x: torch.cumsum(x, 2)),
    "cumsum, of the batch": _reduced(lambda x: torch.cumsum(x, 0)),
    "cumsum, of bool": _reduced(lambda x: x * torch.cumsum(x > 0, -1)),
    "cumulative_trapezoid": _reduced(lambda x: torch.cumulative_trapezoid(x, dim=2)),
    "diff": _reduced(lambda x: torch.diff(x, dim=2)),
    "diff, twice": _reduced(lambda x: torch.diff(x, n=2)),
    "dist": _all(lambda x: torch.dist(x, x * 0.5, 2)),
    "histc": _all(
        lambda x: torch.histc(x.detach(), 4, -1, 1).sum(),
        refused="histc (in the model itself): the standard does not count",
    ),
    "kthvalue": _reduced(lambda x: torch.kthvalue(x, 2, dim=3)),
    "kthvalue, of channels": _reduced(lambda x: torch.kthvalue(x, 2, 1, keepdim=True)[0]),
    "logcumsumexp": _reduced(lambda x: torch.logcumsumexp(x * 3, 3)),
    "logsumexp": _reduced(lambda x: torch.logsumexp(x, (1, 2))),
    "logsumexp, kept": _reduced(lambda x: torch.logsumexp(x * 100, -1, keepdim=True)),
    "max": _reduced(lambda x: torch.max(x, 2)),
    "max, of all": _all(torch.max),
    "max, of ties": _reduced(lambda x: torch.max(_ties(x), -1)[0]),
    "max, of two": _reduced(lambda x: torch.max(x[:, :1], x[:, 1:])),
    "mean": _reduced(lambda x: torch.mean(x, (2, 3))),
    "mean, of all": _all(torch.mean),
    "mean, of the batch": _reduced(lambda x: x - x.mean(0)),
    "mean, of integers": _reduced(lambda x: x * (x > 0).sum(1, keepdim=True).float().mean(-1, keepdim=True)),
    "median": _reduced(lambda x: torch.median(x, 3)),
    "median, of all": _all(torch.median),
    "median, of an even number": _reduced(lambda x: x.median(2, keepdim=True)[0]),
    "min": _reduced(lambda x: torch.min(x, 1, keepdim=True)),
    "min, of all": _all(torch.min),
    "mode": _reduced(lambda x: torch.mode(x, -1)[0], refused="mode (in the model itself): the standard has no most"),
    "msort": _reduced(lambda x: torch.msort(x)),
    "nanmean": _reduced(lambda x: torch.nanmean(x, 2)),
    "nanmedian": _reduced(lambda x: torch.nanmedian(x, 2)[0], refused="use torch.median"),
    "nansum": _reduced(lambda x: torch.nansum(x, -1)),
    "norm": _reduced(lambda x: torch.norm(x, dim=1)),
    "norm, of all": _all(torch.norm),
    "norm, p=1": _reduced(lambda x: x.norm(1, -1, keepdim=True)),
    "norm, p=3": _reduced(lambda x: x.norm(p=3, dim=(2, 3))),
    "norm, p=inf": _reduced(lambda x: torch.norm(x, math.inf, 2)),
    "norm, fro": _reduced(lambda x: torch.norm(x, "fro", dim=(2, 3))),
    "norm, nuc": _reduced(
        lambda x: torch.norm(x, "nuc", dim=(2, 3)),
        refused="_linalg_svd (in the model itself): the standard has no decomposition",
    ),
    "norm, of 0": _reduced(lambda x: torch.norm(x * (x > 2), dim=1) + x[:, 0]),
    "prod": _reduced(lambda x: torch.prod(x, 2)),
    "prod, of 0": _reduced(lambda x: torch.prod(torch.relu(x), 2)),
    "prod, of all": _all(lambda x: torch.prod(x * 0.1 + 1), refused="cumprod over an axis of size 12N"),
    "quantile": _reduced(lambda x: torch.quantile(x, 0.3, dim=3)),
    "quantile, of several": _reduced(lambda x: torch.quantile(x, torch.tensor([0.25, 0.5]), dim=2).movedim(0, 1)),
    "quantile, nearest": _reduced(lambda x: x.quantile(0.4, 1, keepdim=True, interpolation="nearest")),
    "nanquantile": _reduced(lambda x: torch.nanquantile(x, 0.3, dim=3)),
    "renorm": _reduced(lambda x: torch.renorm(x[0], 2, 0, 0.5).sum() + x),
    "sort": _reduced(lambda x: torch.sort(x, -1)),
    "sort, descending": _reduced(lambda x: x.sort(dim=1, descending=True)[0]),
    "sort, of ties": _reduced(lambda x: torch.sort(_ties(x), stable=True)),
    "sort, of the batch": _reduced(lambda x: torch.sort(x, 0)[0]),
    "std": _reduced(lambda x: torch.std(x, (2, 3))),
    "std, of all": _all(torch.std),
    "std, not corrected": _reduced(lambda x: x.std(1, correction=0, keepdim=True)),
    "std_mean": _reduced(lambda x: torch.std_mean(x, (1, 3))),
    "sum": _reduced(lambda x: torch.sum(x, (1, -1))),
    "sum, of all": _all(torch.sum),
    "sum, of bool": _reduced(lambda x: x[:, 0] * (x > 0).sum(1)),
    "sum, as a type": _reduced(lambda x: x[:, 0] * (x > 0).sum(1, dtype=torch.float32)),
    "topk": _reduced(lambda x: torch.topk(x, 2)),
    "topk, the smallest": _reduced(lambda x: x.topk(2, 1, largest=False, sorted=False)[0].sum(1)),
    "trapezoid": _reduced(lambda x: torch.trapezoid(x, dim=2)),
    "unique": _reduced(
        lambda x: x + torch.unique(x.detach()).sum(), refused="_unique2 (in the model itself): its result has a size"
    ),
    "unique_consecutive": _reduced(
        lambda x: x + torch.unique_consecutive(x.detach()).sum(),
        refused="unique_consecutive (in the model itself): its result has a size",
    ),
    "var": _reduced(lambda x: torch.var(x, -1)),
    "var, of all": _all(torch.var),
    "var, not biased": _reduced(lambda x: x.var((0, 2), unbiased=False)[None] + x.mean(2)),
    "var, corrected by 2": _reduced(lambda x: x.var((2, 3), correction=2)),
    "var_mean": _reduced(lambda x: torch.var_mean(x, (2, 3), correction=0, keepdim=True)),
    "vector_norm, 0": _reduced(lambda x: torch.linalg.vector_norm(torch.relu(x), 0, dim=1) + x[:, 0]),
    "vector_norm, 0.5": _norms(0.5),
    "vector_norm, 1": _norms(1),
    "vector_norm, 2": _norms(2),
    "vector_norm, 3": _norms(3),
    "vector_norm, 2.5": _norms(2.5),
    "vector_norm, -1": _norms(-1),
    "vector_norm, inf": _norms(math.inf),
    "vector_norm, -inf": _norms(-math.inf),
    "linalg.norm": _reduced(lambda x: torch.linalg.norm(x, dim=(2, 3))),
    "matrix_norm, fro": _reduced(lambda x: torch.linalg.matrix_norm(x)),
    "matrix_norm, 1": _reduced(lambda x: torch.linalg.matrix_norm(x, 1)),
    "matrix_norm, -1": _reduced(lambda x: torch.linalg.matrix_norm(x, -1)),
    "matrix_norm, inf": _reduced(lambda x: torch.linalg.matrix_norm(x, math.inf, keepdim=True)),
    "matrix_norm, 2": _reduced(
        lambda x: torch.linalg.matrix_norm(x, 2),
        refused="torch's matrix_norm of order 2 has no form",
    ),
    "matrix_norm, nuc": _reduced(
        lambda x: torch.linalg.matrix_norm(x, "nuc"),
        refused="torch's matrix_norm of order nuc has no form",
    ),
    "equal": _reduced(lambda x: x if torch.equal(x, x) else -x, refused="branches on the values"),
    "allclose": _reduced(lambda x: x if torch.allclose(x, x) else -x, refused="branches on the values"),
}
