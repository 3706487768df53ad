"""The mode in which the functions of this folder stand for torch's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from pipeline.capture.joint.arithmetic.convolution import conv2d, conv_tbc
from pipeline.capture.joint.arithmetic.elements import getitem, setitem
from pipeline.capture.joint.arithmetic.embedding import embedding, embedding_bag
from pipeline.capture.joint.arithmetic.losses import (
    gaussian_nll_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    no_ctc_loss,
)
from pipeline.capture.joint.arithmetic.recurrent import no_packing, recurrent_layers
from pipeline.capture.joint.arithmetic.resizing import interpolate
from pipeline.capture.joint.arithmetic.retraced import CHANGED, changed_in_part
from pipeline.capture.joint.arithmetic.rounding import fake_quantize, fake_quantize_by_channel
from pipeline.capture.joint.arithmetic.sampling import affine_grid, grid_sample
from pipeline.capture.joint.arithmetic.small import (
    normal,
    one_hot,
    pad,
    pdist,
    rrelu,
    rrelu_,
)
from pipeline.capture.joint.arithmetic.tensors import ALONE, GIVEN_TORCHS, places_of
from pipeline.capture.joint.arithmetic.windows import (
    adaptive_max_pool,
    adaptive_max_pool_with_indices,
    fractional_max_pool,
    max_pool_with_indices,
)
from pipeline.errors import ModelError

Function = Callable[..., Any]


GENERATOR = "the model draws from a generator of its own, which no graph has: leave generator= out"


class InArithmetic(TorchFunctionMode):
    """In it functions of torch are those of this folder."""

    def __torch_function__(
        self, func: Function, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        options = kwargs or {}
        if options.get("generator") is not None:
            raise ModelError(GENERATOR)
        return _OF[func](func, *args, **options) if func in _OF else func(*args, **options)


def _alone(function: Function) -> Function:
    """A function that has no use for torch's own."""
    return lambda torchs, *args, **options: function(*args, **options)


def _values(function: Function) -> Function:
    """The first result of several."""

    def first(*args: Any, **options: Any) -> Tensor:
        values: Tensor = function(*args, **options)[0]
        return values

    return first


_MAX_POOLS: Mapping[Any, int] = {
    functional.max_pool1d_with_indices: 1,
    torch.max_pool1d_with_indices: 1,
    functional.max_pool2d_with_indices: 2,
    functional.max_pool3d_with_indices: 3,
}
_ADAPTIVE: Mapping[Any, int] = {
    functional.adaptive_max_pool1d_with_indices: 1,
    torch.adaptive_max_pool1d: 1,
    functional.adaptive_max_pool2d_with_indices: 2,
    functional.adaptive_max_pool3d_with_indices: 3,
}
_ADAPTIVE_VALUES: Mapping[Any, int] = {
    functional.adaptive_max_pool1d: 1,
    functional.adaptive_max_pool2d: 2,
    functional.adaptive_max_pool3d: 3,
}
_FRACTIONAL: Mapping[Any, int] = {
    functional.fractional_max_pool2d_with_indices: 2,
    functional.fractional_max_pool3d_with_indices: 3,
}
_FRACTIONAL_VALUES: Mapping[Any, int] = {functional.fractional_max_pool2d: 2, functional.fractional_max_pool3d: 3}
# The kind of cell of each.
_RECURRENT: Mapping[Any, str] = {
    torch.rnn_tanh: "RNN_TANH",
    torch.rnn_relu: "RNN_RELU",
    torch.lstm: "LSTM",
    torch.gru: "GRU",
}

# Of torch's function what stands for it; it is given torch's own, and its arguments.
_OF: Mapping[Function, Function] = {
    functional.grid_sample: _alone(grid_sample),
    functional.affine_grid: _alone(affine_grid),
    functional.interpolate: interpolate,
    torch.fake_quantize_per_tensor_affine: _alone(fake_quantize),
    torch.fake_quantize_per_channel_affine: _alone(fake_quantize_by_channel),
    functional.embedding: embedding,
    functional.embedding_bag: _alone(embedding_bag),
    functional.gaussian_nll_loss: _alone(gaussian_nll_loss),
    functional.multi_margin_loss: _alone(multi_margin_loss),
    functional.multilabel_margin_loss: _alone(multilabel_margin_loss),
    functional.ctc_loss: _alone(no_ctc_loss),
    functional.rrelu: _alone(rrelu),
    torch.rrelu_: _alone(rrelu_),
    torch.pdist: _alone(pdist),
    torch.normal: _alone(normal),
    torch.conv2d: conv2d,
    torch.conv_tbc: _alone(conv_tbc),
    functional.pad: pad,
    Tensor.__getitem__: getitem,
    Tensor.__setitem__: setitem,
    functional.one_hot: one_hot,
    torch._pack_padded_sequence: no_packing,
    **{of: _alone(partial(recurrent_layers, kind)) for of, kind in _RECURRENT.items()},
    **dict.fromkeys(CHANGED, changed_in_part),
    **{of: _alone(partial(max_pool_with_indices, axes)) for of, axes in _MAX_POOLS.items()},
    **{of: _alone(partial(adaptive_max_pool_with_indices, axes)) for of, axes in _ADAPTIVE.items()},
    **{of: _alone(partial(adaptive_max_pool, axes)) for of, axes in _ADAPTIVE_VALUES.items()},
    **{of: _alone(partial(fractional_max_pool, axes)) for of, axes in _FRACTIONAL.items()},
    **{of: _alone(_values(partial(fractional_max_pool, axes))) for of, axes in _FRACTIONAL_VALUES.items()},
    **{place: function for name, function in GIVEN_TORCHS.items() for place in places_of(name)},
    **{place: _alone(function) for name, function in ALONE.items() for place in places_of(name)},
}
