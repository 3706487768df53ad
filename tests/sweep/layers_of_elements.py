"""Activations, normalisation and dropout."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tests.sweep.case import Case, layer


class _Whole(nn.Module):
    """Whole numbers from −7 to 7, with the gradient of what is rounded: the places where functions have corners."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.detach() + torch.round(x.detach() * 7)


def _at_corners(make: Callable[[], nn.Module]) -> Case:
    return layer(lambda: nn.Sequential(_Whole(), make()), 4, 6)


ACTIVATIONS: dict[str, Case] = {
    "ReLU": layer(nn.ReLU, 4, 6),
    "ReLU, in place, at corners": _at_corners(lambda: nn.ReLU(inplace=True)),
    "ReLU6": layer(nn.ReLU6, 4, 6),
    "ReLU6, at corners": _at_corners(nn.ReLU6),
    "LeakyReLU": layer(lambda: nn.LeakyReLU(0.2), 4, 6),
    "LeakyReLU, in place, at corners": _at_corners(lambda: nn.LeakyReLU(0.2, inplace=True)),
    "LeakyReLU, falling": layer(lambda: nn.LeakyReLU(-0.3), 4, 6),
    "PReLU": layer(nn.PReLU, 4, 6),
    "PReLU, by channel": layer(lambda: nn.PReLU(4, init=0.1), 4, 5, 5),
    "PReLU, at corners": _at_corners(lambda: nn.PReLU(4)),
    "RReLU": layer(nn.RReLU, 4, 6),
    "RReLU, at corners": _at_corners(lambda: nn.RReLU(0.1, 0.4, inplace=True)),
    "ELU": layer(lambda: nn.ELU(1.5), 4, 6),
    "ELU, in place": _at_corners(lambda: nn.ELU(inplace=True)),
    "SELU": layer(nn.SELU, 4, 6),
    "SELU, in place": _at_corners(lambda: nn.SELU(inplace=True)),
    "CELU": layer(lambda: nn.CELU(0.5), 4, 6),
    "CELU, in place": _at_corners(lambda: nn.CELU(2.0, inplace=True)),
    "GELU": layer(nn.GELU, 4, 6),
    "GELU, by tanh": layer(lambda: nn.GELU("tanh"), 4, 6),
    "SiLU": layer(nn.SiLU, 4, 6),
    "SiLU, in place": _at_corners(lambda: nn.SiLU(inplace=True)),
    "Mish": layer(nn.Mish, 4, 6),
    "Mish, in place": _at_corners(lambda: nn.Mish(inplace=True)),
    "Sigmoid": layer(nn.Sigmoid, 4, 6),
    "LogSigmoid": layer(nn.LogSigmoid, 4, 6),
    "LogSigmoid, at corners": _at_corners(nn.LogSigmoid),
    "Tanh": layer(nn.Tanh, 4, 6),
    "Tanhshrink": layer(nn.Tanhshrink, 4, 6),
    "Softplus": layer(nn.Softplus, 4, 6),
    "Softplus, at corners": _at_corners(lambda: nn.Softplus(2.0, 6.0)),
    "Softsign": layer(nn.Softsign, 4, 6),
    "Softsign, at corners": _at_corners(nn.Softsign),
    "Softshrink": layer(lambda: nn.Softshrink(0.2), 4, 6),
    "Softshrink, at corners": _at_corners(lambda: nn.Softshrink(2.0)),
    "Hardshrink": layer(lambda: nn.Hardshrink(0.2), 4, 6),
    "Hardshrink, at corners": _at_corners(lambda: nn.Hardshrink(2.0)),
    "Hardsigmoid": layer(nn.Hardsigmoid, 4, 6),
    "Hardsigmoid, at corners": _at_corners(lambda: nn.Hardsigmoid(inplace=True)),
    "Hardswish": layer(nn.Hardswish, 4, 6),
    "Hardswish, at corners": _at_corners(lambda: nn.Hardswish(inplace=True)),
    "Hardtanh": layer(lambda: nn.Hardtanh(-0.2, 0.3), 4, 6),
    "Hardtanh, at corners": _at_corners(lambda: nn.Hardtanh(-2.0, 3.0, inplace=True)),
    "Threshold": layer(lambda: nn.Threshold(0.1, -3.0), 4, 6),
    "Threshold, at corners": _at_corners(lambda: nn.Threshold(1.0, 2.0, inplace=True)),
    "GLU": layer(nn.GLU, 4, 6),
    "GLU, of channels": layer(lambda: nn.GLU(1), 4, 6),
    "Softmax": layer(lambda: nn.Softmax(-1), 4, 6),
    "Softmax, of channels": layer(lambda: nn.Softmax(1), 4, 6),
    "Softmax, of an axis that torch chooses": layer(nn.Softmax, 4, 6),
    "Softmax2d": layer(nn.Softmax2d, 4, 3, 3),
    "Softmin": layer(lambda: nn.Softmin(1), 4, 6),
    "LogSoftmax": layer(lambda: nn.LogSoftmax(2), 4, 6),
}

NORMALISATION: dict[str, Case] = {
    "BatchNorm1d": layer(lambda: nn.BatchNorm1d(6), 6),
    "BatchNorm1d, of a line": layer(lambda: nn.BatchNorm1d(4, momentum=0.3), 4, 6),
    "BatchNorm1d, without weights": layer(lambda: nn.BatchNorm1d(6, affine=False), 6),
    "BatchNorm2d": layer(lambda: nn.BatchNorm2d(4), 4, 5, 5),
    "BatchNorm2d, without statistics": layer(lambda: nn.BatchNorm2d(4, track_running_stats=False), 4, 5, 5),
    "BatchNorm2d, cumulative": layer(lambda: nn.BatchNorm2d(4, momentum=None, eps=1e-3), 4, 5, 5),
    "BatchNorm2d, of nothing but the batch": layer(
        lambda: nn.BatchNorm2d(4, affine=False, track_running_stats=False), 4, 5, 5
    ),
    "BatchNorm3d": layer(lambda: nn.BatchNorm3d(3), 3, 2, 3, 2),
    "SyncBatchNorm": layer(lambda: nn.SyncBatchNorm(4), 4, 5, 5),
    "LazyBatchNorm1d": layer(nn.LazyBatchNorm1d, 4, 6),
    "LazyBatchNorm2d": layer(nn.LazyBatchNorm2d, 4, 5, 5),
    "LazyBatchNorm3d": layer(nn.LazyBatchNorm3d, 3, 2, 3, 2),
    "InstanceNorm1d": layer(lambda: nn.InstanceNorm1d(4), 4, 6),
    "InstanceNorm2d": layer(lambda: nn.InstanceNorm2d(4, affine=True), 4, 5, 5),
    "InstanceNorm2d, with statistics": layer(
        lambda: nn.InstanceNorm2d(4, affine=True, track_running_stats=True), 4, 5, 5
    ),
    "InstanceNorm3d": layer(lambda: nn.InstanceNorm3d(3, affine=True), 3, 2, 3, 2),
    "LazyInstanceNorm1d": layer(lambda: nn.LazyInstanceNorm1d(affine=True), 4, 6),
    "LazyInstanceNorm2d": layer(lambda: nn.LazyInstanceNorm2d(affine=True), 4, 5, 5),
    "LazyInstanceNorm3d": layer(lambda: nn.LazyInstanceNorm3d(affine=True), 3, 2, 3, 2),
    "GroupNorm": layer(lambda: nn.GroupNorm(2, 4), 4, 5, 5),
    "GroupNorm, of a vector": layer(lambda: nn.GroupNorm(3, 6), 6),
    "GroupNorm, without weights": layer(lambda: nn.GroupNorm(1, 4, affine=False), 4, 6),
    "LayerNorm": layer(lambda: nn.LayerNorm(6), 4, 6),
    "LayerNorm, of an image": layer(lambda: nn.LayerNorm([4, 5, 5], eps=1e-3), 4, 5, 5),
    "LayerNorm, without bias": layer(lambda: nn.LayerNorm(6, bias=False), 4, 6),
    "LayerNorm, without weights": layer(lambda: nn.LayerNorm(6, elementwise_affine=False), 4, 6),
    "RMSNorm": layer(lambda: nn.RMSNorm(6), 4, 6),
    "RMSNorm, of two axes": layer(lambda: nn.RMSNorm((4, 6), eps=1e-3), 4, 6),
    "RMSNorm, without weights": layer(lambda: nn.RMSNorm(6, elementwise_affine=False), 4, 6),
    "LocalResponseNorm": layer(lambda: nn.LocalResponseNorm(3, alpha=0.5), 6, 4, 4),
    "LocalResponseNorm, of a line": layer(lambda: nn.LocalResponseNorm(2, k=2.0), 6, 5),
    "CrossMapLRN2d": layer(
        lambda: nn.CrossMapLRN2d(3),
        6,
        4,
        4,
        refused="whose gradient in torch is not that of its values: use nn.LocalResponseNorm",
    ),
}

DROPOUT: dict[str, Case] = {
    "Dropout": layer(lambda: nn.Dropout(0.3), 4, 6),
    "Dropout, in place": _at_corners(lambda: nn.Dropout(inplace=True)),
    "Dropout, of nothing": layer(lambda: nn.Dropout(0.0), 4, 6),
    "Dropout, of all": layer(lambda: nn.Dropout(1.0), 4, 6),
    "Dropout1d": layer(lambda: nn.Dropout1d(0.3), 4, 6),
    "Dropout2d": layer(lambda: nn.Dropout2d(0.3), 4, 5, 5),
    "Dropout1d, in place": _at_corners(lambda: nn.Dropout1d(inplace=True)),
    "Dropout3d": layer(lambda: nn.Dropout3d(0.3), 3, 2, 3, 2),
    "AlphaDropout": layer(lambda: nn.AlphaDropout(0.3), 4, 6),
    "AlphaDropout, in place": _at_corners(lambda: nn.AlphaDropout(inplace=True)),
    "FeatureAlphaDropout": layer(lambda: nn.FeatureAlphaDropout(0.3), 4, 5, 5),
}
