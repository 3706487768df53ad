"""What has no form in the ONNX standard: why, and what to use instead. The refusal says it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import torch
from torch import nn

from pipeline.errors import ModelError

_SIZE = "its result has a size that only values tell"
_MATRIX = "the standard has no decomposition of a matrix"
_FUNCTION = "the standard has no such function: compute it from those that it has, as erf, lgamma and exp"
_COUNT = "use torch.nn.functional.one_hot and sum"

# By the operator's name, its overload apart; what holds for it holds for its `_backward`.
INSTEAD: Mapping[str, str] = {
    "masked_select": f"{_SIZE}: use torch.where",
    "nonzero": f"{_SIZE}: use torch.where",
    "_unique2": f"{_SIZE}: use torch.sort",
    "_fused_moving_avg_obs_fq_helper_functional": (
        "torch.ao's observers go on in evaluation: use torch.fake_quantize_per_tensor_affine, its range in buffers"
    ),
    "_linalg_svd": f"{_MATRIX}: compute it once, and keep it as a buffer",
    "_linalg_eigh": f"{_MATRIX}: compute it once, and keep it as a buffer",
    "linalg_lu": f"{_MATRIX}: use torch.linalg.solve or torch.linalg.slogdet",
    "linalg_pinv": f"{_MATRIX}: use torch.linalg.solve of the normal equations",
    "unique_consecutive": f"{_SIZE}: use torch.sort",
    "bincount": f"{_SIZE}: {_COUNT}",
    "histc": f"the standard does not count: compare with the edges (torch.bucketize), {_COUNT}",
    "mode": "the standard has no most frequent value: use torch.median, or count by torch.nn.functional.one_hot",
    "nanmedian": "the standard sorts no NaN: use torch.median of what torch.nan_to_num gives",
    "index_reduce": "the standard has no such reduction: use torch.scatter_reduce",
    "nextafter": "it has no gradient: add a small number",
    **dict.fromkeys(("igamma", "igammac", "i0", "special_i0e", "special_i1", "special_i1e", "special_zeta"), _FUNCTION),
    **dict.fromkeys(("special_erfcx", "special_log_ndtr", "special_ndtri"), f"{_FUNCTION}; or torch.erfinv"),
}

# Layers that are refused whatever their operators are.
_LAYERS: Mapping[type[nn.Module], str] = {
    nn.CrossMapLRN2d: "whose gradient in torch is not that of its values: use nn.LocalResponseNorm",
}


def check_layers(module: nn.Module) -> None:
    """Refuses layers that cannot be trained as in torch.

    Raises:
      ModelError: there is one.
    """
    for path, child in module.named_modules():
        if reason := _LAYERS.get(type(child)):
            raise ModelError(f"the module {path!r} is a {type(child).__name__}, {reason}")


@contextmanager
def refusing_nested_tensors() -> Iterator[None]:
    """In the block a TransformerEncoder is refused that makes nested tensors, as in evaluation of padded sequences.

    Raises:
      ModelError: one does. No mode could see it: in a mode torch does not make them.
    """
    own = torch._nested_tensor_from_mask
    torch._nested_tensor_from_mask = _refuse_nested_tensor
    try:
        yield
    finally:
        torch._nested_tensor_from_mask = own


def _refuse_nested_tensor(*args: Any, **options: Any) -> NoReturn:
    raise ModelError(
        "a TransformerEncoder that is given padding makes nested tensors in evaluation, which no graph has: "
        "make it with enable_nested_tensor=False"
    )
