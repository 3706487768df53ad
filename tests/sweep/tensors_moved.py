"""What chooses, moves, joins and writes elements, and tensors made of numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tests.sweep.case import Case, function


def _moved(operation: Callable[[Tensor], Any], refused: str = "") -> Case:
    return function(operation, 4, 6, 6, refused=refused)


def _changed(change: Callable[[Tensor], Any], refused: str = "") -> Case:
    """A copy that is changed in place."""

    def changed(x: Tensor) -> Tensor:
        copy = x * 2
        change(copy)
        return copy + x

    return _moved(changed, refused)


def _set(copy: Tensor, places: Any, value: Any) -> None:
    copy[places] = value


def _with(x: Tensor, made: Tensor) -> Tensor:
    """What has nothing of the images, with a gradient of them."""
    return x * made


_PLACES = torch.tensor([3, 0, 3])


def _index(x: Tensor) -> Tensor:
    """Columns, some twice, by image: N×4×6×2."""
    return torch.stack([x[..., 0] > 0, x[..., 0] > 0.2], -1).long() * 3


MOVED: dict[str, Case] = {
    "as_strided": _moved(
        lambda x: torch.as_strided(x, (x.shape[0], 4, 6), (144, 36, 6)),
        refused="as_strided that reads the tensor in another order",
    ),
    "atleast_3d": _moved(lambda x: torch.atleast_3d(x)),  # type: ignore[no-untyped-call]
    "block_diag": _moved(lambda x: _with(x, torch.block_diag(torch.ones(3, 3), torch.ones(3, 3)))),  # type: ignore[no-untyped-call]
    "broadcast_to": _moved(lambda x: torch.broadcast_to(x[:, :1], x.shape)),
    "broadcast_tensors": _moved(lambda x: torch.broadcast_tensors(x[:, :1], x)),  # type: ignore[no-untyped-call]
    "bucketize": _moved(lambda x: x * torch.bucketize(x, torch.tensor([-0.5, 0.0, 0.5]))),
    "bucketize, right": _moved(lambda x: x * torch.bucketize(x, torch.tensor([-0.5, 0.0, 0.5]), right=True)),
    "cartesian_prod": _moved(lambda x: _with(x, torch.cartesian_prod(torch.arange(6.0), torch.arange(6.0))[:6, :1])),
    "cat": _moved(lambda x: torch.cat([x, x * 2, x[:, :1]], 1)),
    "cat, of types": _moved(lambda x: torch.cat([x, x > 0], -1)),
    "cat, of the batch": _moved(lambda x: torch.cat([x, x * 2], 0).view(2, -1, 144).sum(0)),
    "channel_shuffle": _moved(lambda x: torch.channel_shuffle(x, 2)),
    "chunk": _moved(lambda x: torch.chunk(x, 4, -1)),
    "chunk, of the batch": _moved(lambda x: x + torch.stack(x.repeat(2, 1, 1, 1).chunk(2)).sum(0)),
    "clone": _moved(lambda x: x.clone(memory_format=torch.contiguous_format).contiguous()),
    "column_stack": _moved(lambda x: torch.column_stack([x, x])),
    "combinations": _moved(
        lambda x: _with(x, torch.combinations(torch.arange(4.0))[:, :1]),
        refused="its result has a size that only values tell: use torch.where",
    ),
    "diag": _moved(lambda x: x @ torch.diag(x.mean((0, 1, 2)))),
    "diag, of a matrix": _moved(lambda x: x * torch.diag(x.mean((0, 1)))),
    "diag_embed": _moved(lambda x: torch.diag_embed(x[:, 0])),
    "diag_embed, moved": _moved(lambda x: torch.diag_embed(x[:, 0], offset=1, dim1=1, dim2=2)),
    "diagflat": _moved(lambda x: x @ torch.diagflat(x.mean((0, 1, 2)))),
    "diagonal": _moved(lambda x: torch.diagonal(x, dim1=2, dim2=3)),
    "diagonal, moved": _moved(lambda x: x.diagonal(-1, 1, 3)),
    "diagonal, not square": _moved(lambda x: x[..., :4].diagonal(1, -2, -1)),
    "diagonal_scatter": _moved(lambda x: torch.diagonal_scatter(x, x[..., 0] * 2, dim1=2, dim2=3)),
    "dsplit": _moved(lambda x: torch.dsplit(x, 3)[1]),
    "dstack": _moved(lambda x: torch.dstack([x, -x])),
    "expand": _moved(lambda x: x[:, :1].expand(-1, 3, 6, 6) * 2),
    "expand_as": _moved(lambda x: x.mean(1, keepdim=True).expand_as(x)),
    "flatten": _moved(lambda x: torch.flatten(x, 1, 2)),
    "flip": _moved(lambda x: torch.flip(x, (1, -1))),
    "fliplr": _moved(lambda x: torch.fliplr(x)),
    "gather": _moved(lambda x: torch.gather(x, 3, _index(x))),
    "gather, of channels": _moved(lambda x: x.gather(1, torch.argsort(x, 1)[:, :2])),
    "hsplit": _moved(lambda x: torch.hsplit(x, [1, 3])),
    "hstack": _moved(lambda x: torch.hstack([x, -x])),
    "index_add": _moved(lambda x: torch.index_add(x, 1, _PLACES, x[:, :3], alpha=2)),
    "index_copy": _moved(lambda x: torch.index_copy(x, 1, torch.tensor([2, 0]), x[:, 1:3])),
    "index_fill": _moved(lambda x: torch.index_fill(x, 1, _PLACES, 0.5)),
    "index_put": _moved(lambda x: x.index_put((torch.arange(x.shape[0]), torch.zeros(x.shape[0]).long()), x[:, 1])),
    "index_put, accumulated": _changed(
        lambda y: y.index_put_((torch.arange(y.shape[0]), _PLACES[:1]), y[:, 1] * 2, accumulate=True)
    ),
    "index_reduce": _moved(
        lambda x: torch.index_reduce(x, 1, _PLACES, x[:, :3] + 2, "prod"),
        refused="the standard has no such reduction: use torch.scatter_reduce",
    ),
    "index_select": _moved(lambda x: torch.index_select(x, 2, _PLACES)),
    "kron": _moved(lambda x: torch.kron(x[:, :2, :2, :2], x.mean((0, 1))[:2, :2])),
    "masked_fill": _moved(lambda x: x.masked_fill(x > 0, float("-inf")).softmax(-1) + x),
    "masked_fill, by a tensor": _moved(lambda x: x.masked_fill(x > 0, x.mean())),
    "masked_scatter": _moved(lambda x: torch.masked_scatter(x, x > 0, x * 2)),
    "masked_select": _moved(
        lambda x: torch.masked_select(x, x > 0).sum() + x,
        refused="its result has a size that only values tell: use torch.where",
    ),
    "meshgrid": _moved(
        lambda x: _with(x, torch.meshgrid(torch.arange(6.0), torch.linspace(0, 1, 6), indexing="ij")[1])
    ),
    "meshgrid, xy": _moved(lambda x: _with(x, torch.meshgrid(x.mean((0, 1, 2)), torch.arange(6.0), indexing="xy")[0])),
    "moveaxis": _moved(lambda x: torch.moveaxis(x, 1, -1)),
    "movedim": _moved(lambda x: torch.movedim(x, (1, 2), (3, 1))),
    "narrow": _moved(lambda x: torch.narrow(x, 2, 1, 3)),
    "narrow_copy": _moved(lambda x: torch.narrow_copy(x, 2, 1, 3)),
    "nonzero": _moved(
        lambda x: x + torch.nonzero(x > 0).sum(), refused="its result has a size that only values tell: use torch.where"
    ),
    "permute": _moved(lambda x: x.permute(0, 3, 1, 2)),
    "put": _moved(lambda x: torch.put(x, _PLACES[:2], x[0, 0, 0, :2])),
    "ravel": _moved(lambda x: torch.ravel(x).view(x.shape)),
    "repeat": _moved(lambda x: x.repeat(1, 2, 1, 3)),
    "repeat_interleave": _moved(lambda x: torch.repeat_interleave(x, 2, 1)),
    "repeat_interleave, of all": _moved(lambda x: x.repeat_interleave(3).view(-1, 432)),
    "repeat_interleave, by a tensor": _moved(
        lambda x: torch.repeat_interleave(x, torch.tensor([1, 0, 2, 1]), 1, output_size=4)
    ),
    "repeat_interleave, of the batch": _moved(lambda x: x.repeat_interleave(2, 0).view(-1, 288)),
    "reshape": _moved(lambda x: x.transpose(1, 2).reshape(x.shape[0], -1)),
    "roll": _moved(lambda x: torch.roll(x, (1, -2), (2, 3))),
    "roll, of all": _moved(lambda x: torch.roll(x.mean(0), 3) + x),
    "roll, of the batch": _moved(lambda x: torch.roll(x, 1, 0)),
    "rot90": _moved(lambda x: torch.rot90(x, 1, (2, 3))),
    "rot90, three times": _moved(lambda x: torch.rot90(x, 3, (1, 2))),
    "scatter": _moved(lambda x: torch.scatter(x, 3, torch.tensor([0, 2]).expand(*x.shape[:3], 2), x[..., :2] * 2)),
    "scatter, a number": _moved(lambda x: torch.zeros_like(x).scatter_(3, _index(x), 1.0) * x),
    "scatter, multiplied": _moved(lambda x: torch.scatter(x.detach(), 3, _index(x), 2.0, reduce="multiply") * x),
    "scatter_add": _moved(lambda x: torch.scatter_add(x, 3, _index(x), x[..., :2])),
    "scatter_add, to zeros": _moved(lambda x: torch.zeros(x.shape[0], 4, 6, 4).scatter_add_(3, _index(x), x[..., :2])),
    "scatter_reduce, sum": _moved(lambda x: torch.scatter_reduce(x, 3, _index(x), x[..., :2], "sum")),
    "scatter_reduce, mean": _moved(lambda x: torch.scatter_reduce(x, 3, _index(x), x[..., :2], "mean")),
    "scatter_reduce, prod": _moved(lambda x: torch.scatter_reduce(x, 3, _index(x), x[..., :2], "prod")),
    "scatter_reduce, amax": _moved(lambda x: torch.scatter_reduce(x, 3, _index(x), x[..., :2], "amax")),
    "scatter_reduce, amin": _moved(
        lambda x: torch.scatter_reduce(x, 3, _index(x), x[..., :2], "amin", include_self=False)
    ),
    "searchsorted": _moved(lambda x: x * torch.searchsorted(torch.tensor([-0.5, 0.0, 0.5]), x)),
    "searchsorted, by rows": _moved(lambda x: x * torch.searchsorted(torch.sort(x.detach(), -1)[0], x, right=True)),
    "select": _moved(lambda x: x.select(1, -1)),
    "select_scatter": _moved(lambda x: torch.select_scatter(x, x[:, 0] * 2, 1, 2)),
    "slice": _moved(lambda x: x[:, ::2, 1:-1, -3:]),
    "slice, by None and Ellipsis": _moved(lambda x: x[:, None, ..., 2]),
    "slice, by a list": _moved(lambda x: x[:, [0, 2, 2]]),
    "slice, by a list of the last": _moved(lambda x: x[..., [-1, 0]]),
    "slice, by two lists": _moved(lambda x: x[:, [0, 1], [2, 3]]),
    "slice, by lists apart": _moved(lambda x: x[:, [0, 1], :, [2, 3]].transpose(0, 1)),
    "slice, by a tensor": _moved(lambda x: x[:, _PLACES]),
    "slice, by a bool": _moved(
        lambda x: x[x > 0].sum() + x,
        refused="of a size, or by a number, that only values tell: choose by torch.where",
    ),
    "slice, by a constant mask": _moved(
        lambda x: x[:, torch.tensor([True, False, True, True])],
        refused="index by a mask, whose result has as many rows as it holds: use torch.where",
    ),
    "slice, of the batch": _moved(lambda x: x + x[:1] * x[-1:]),
    "slice, of images and labels": _moved(lambda x: x[torch.arange(x.shape[0]), x.mean((2, 3)).argmax(1)]),
    "slice_scatter": _moved(lambda x: torch.slice_scatter(x, x[:, :2], 1, 1, 3)),
    "split": _moved(lambda x: torch.split(x, 4, 3)),
    "split, into sizes": _moved(lambda x: x.split([1, 3], 1)[1]),  # type: ignore[no-untyped-call]
    "squeeze": _moved(lambda x: x[:, :1].squeeze(1)),
    "squeeze, of all": _moved(lambda x: x[:, :1, :, :1].squeeze((1, 3))),
    "stack": _moved(lambda x: torch.stack([x, -x], -1)),
    "swapaxes": _moved(lambda x: torch.swapaxes(x, 1, 2)),
    "t": _moved(lambda x: x @ x.mean((0, 1)).t()),
    "T": _moved(lambda x: x.mT @ x),
    "take": _moved(lambda x: torch.take(x, _PLACES).sum() + x),
    "take_along_dim": _moved(lambda x: torch.take_along_dim(x, x.argsort(2), 2)),
    "tensor_split": _moved(lambda x: torch.tensor_split(x, 4, -1)),
    "tensor_split, at places": _moved(lambda x: x.tensor_split((1, 4), 2)[1]),
    "tile": _moved(lambda x: torch.tile(x, (2, 1))),
    "trace": _moved(lambda x: x * torch.trace(x.mean((0, 1)))),
    "transpose": _moved(lambda x: x.transpose(1, -1)),
    "tril": _moved(lambda x: torch.tril(x, -1)),
    "tril_indices": _moved(lambda x: x[:, :, torch.tril_indices(6, 6)[0], torch.tril_indices(6, 6)[1]]),
    "triu": _moved(lambda x: x.triu(1)),
    "triu, of a mask": _moved(lambda x: x.masked_fill(torch.ones(6, 6).triu(1).bool(), 0)),
    "unbind": _moved(lambda x: torch.unbind(x, 1)),
    "unflatten": _moved(lambda x: torch.unflatten(x, 1, (2, -1))),
    "unfold": _moved(lambda x: x.unfold(2, 3, 1)),
    "unfold, twice": _moved(lambda x: x.unfold(2, 2, 2).unfold(3, 3, 2)),
    "unravel_index": _moved(lambda x: x * torch.unravel_index(x[0, 0].argmax(), (6, 6))[0]),
    "unsqueeze": _moved(lambda x: (x * 2).unsqueeze(-1).unsqueeze_(2)),
    "vander": _moved(lambda x: _with(x, torch.vander(torch.linspace(0, 1, 6)))),
    "view": _moved(lambda x: x.view(-1, 2, 72)),
    "view_as": _moved(lambda x: x.flatten(1).view_as(x)),
    "view, as a type": _moved(
        lambda x: x * (x.detach().view(torch.int32) > 0),
        refused="of the bits of another type; convert the numbers (x.to(dtype))",
    ),
    "vsplit": _moved(lambda x: torch.vsplit(x.transpose(0, 1), 2)[1].transpose(0, 1)),
    "vstack": _moved(lambda x: torch.vstack([x, -x]).view(2, *x.shape)[0]),
    "x[:, 1:] = x": _changed(lambda y: _set(y, (slice(None), slice(1, None)), y[:, :-1] * 2)),
    "x[:, 1] = 0": _changed(lambda y: _set(y, (slice(None), 1), 0)),
    "x[..., ::2] = 1": _changed(lambda y: _set(y, (..., slice(None, None, 2)), 1.0)),
    "x[:, 1:3, 2:4] = x": _changed(lambda y: _set(y, (slice(None), slice(1, 3), slice(2, 4)), y[:, :2, :2])),
    "x[mask] = 0": _changed(lambda y: _set(y, y > 0.5, 0)),
    "x[mask] = a number of the model": _changed(
        lambda y: _set(y, y > 0.5, y.mean()),
        refused="of a size, or by a number, that only values tell: choose by torch.where",
    ),
    "x[mask of rows] = 0": _changed(lambda y: _set(y, y[:, :, 0, 0] > 0.5, 0.0)),
    "x[mask] = x[mask]": _changed(
        lambda y: _set(y, y > 0.5, y[y > 0.5] * 2),
        refused="of a size, or by a number, that only values tell: choose by torch.where",
    ),
    "x[:, argmax] = x": _changed(lambda y: _set(y, (slice(None), y[0, :, 0, 0].argmax()), y[:, 0] * 0.5)),
    "x[..., argmax, 1:] = 0": _changed(lambda y: _set(y, (..., y[0, 0, 0].argmax() % 2, slice(1, None)), 0)),
    "x[argmax], x[:, argmin, None]": _moved(
        lambda x: x[x.mean((1, 2, 3)).argmax() % 2] + x[:, x[0, :, 0, 0].argmin(), None]
    ),
    "x[list] = x": _changed(lambda y: _set(y, (slice(None), [0, 2]), y[:, 1:3] * 0.5)),
    "x[0] = 0": _changed(lambda y: _set(y, 0, 0)),
    "x[:, 1:] += x": _changed(lambda y: y[:, 1:].add_(y[:, :1])),
    "x[-1:] *= 2": _changed(lambda y: y[-1:].mul_(2)),
    "copy_": _changed(lambda y: y[:, :2].copy_(y[:, 2:] * 2)),
    "fill_": _changed(lambda y: y[:, 0].fill_(2)),
    "fill_diagonal_": _moved(lambda x: x @ (x.mean((0, 1)) * 1).fill_diagonal_(0)),
    "masked_fill_": _changed(lambda y: y.masked_fill_(y > 0, 1)),
    "zero_": _changed(lambda y: y[:, 0].zero_()),
    "relu_ of a part": _changed(lambda y: y[:, 0].relu_()),
    "arange": _moved(lambda x: x * torch.arange(x.shape[3]) + torch.arange(0, 3, 0.5)),
    "arange, of the batch": _moved(lambda x: x + torch.arange(x.shape[0]).view(-1, 1, 1, 1)),
    "empty": _moved(lambda x: _with(x, torch.empty(6).fill_(2))),
    "eye": _moved(lambda x: x @ torch.eye(6)),
    "eye, of the batch": _moved(lambda x: torch.eye(x.shape[0]) @ x.flatten(1)),
    "full": _moved(lambda x: _with(x, torch.full((6,), 0.5)) + x.new_full((x.shape[0], 1, 1, 1), 2)),
    "full_like": _moved(lambda x: _with(x, torch.full_like(x, 3))),
    "linspace": _moved(lambda x: _with(x, torch.linspace(-1, 1, 6))),
    "logspace": _moved(lambda x: _with(x, torch.logspace(0, 1, 6))),
    "new_tensor": _moved(lambda x: x + x.new_tensor([1.0] * 6) + torch.tensor(2.0)),
    "ones": _moved(lambda x: torch.cat([x, torch.ones(x.shape[0], 1, 6, 6)], 1)),
    "ones_like": _moved(lambda x: torch.ones_like(x) * x + x.new_ones(6)),
    "tri": _moved(lambda x: _with(x, torch.ones(6, 6).tril())),
    "zeros": _moved(lambda x: torch.cat([x.new_zeros(x.shape[0], 1, 6, 6), x, torch.zeros_like(x)], 1)),
    "hann_window": _moved(lambda x: _with(x, torch.hann_window(6)) + torch.hamming_window(6)),
    "item": _moved(lambda x: x * x.max().item()),
    "item, of an integer": _moved(
        lambda x: x * int(x.mean((0, 2, 3)).argmax()),
        refused="one of the branches would be traced for all images; write it with torch.where",
    ),
    "tolist": _moved(lambda x: x * x.mean((0, 1, 2)).tolist()[0]),
    "numpy": _moved(
        lambda x: x * float(x.detach().mean().numpy()),
        refused="the model goes to numpy, which no graph has: compute with torch alone",
    ),
    "if x.sum() > 0": _moved(
        lambda x: x if x.sum() > 0 else -x,
        refused="one of the branches would be traced for all images; write it with torch.where",
    ),
    "for row in x": _moved(lambda x: torch.stack([channel * 2 for channel in x.unbind(1)], 1)),
    "for image in x": _moved(
        lambda x: torch.stack([image * 2 for image in x]),
        refused="one of them would be traced for all; write it for any size, with x.shape[0], which len(x) is not",
    ),
    "len": _moved(
        lambda x: x / len(x),
        refused="one of them would be traced for all; write it for any size, with x.shape[0], which len(x) is not",
    ),
    "size": _moved(lambda x: x.view(x.size(0), -1) / x.size()[1] + x.numel() / x.size(0)),
}
