"""ATen operators that have no form in the ONNX standard: why, and what to use instead. The refusal says it."""

from __future__ import annotations

from collections.abc import Mapping

_SIZE = "its result has a size that only values tell"
_MATRIX = "the standard has no decomposition of a matrix"

# By the operator's name, its overload apart; what holds for it holds for its `_backward`.
INSTEAD: Mapping[str, str] = {
    "masked_select": f"{_SIZE}: use torch.where",
    "nonzero": f"{_SIZE}: use torch.where",
    "_unique2": f"{_SIZE}: use torch.sort",
    "_linalg_svd": f"{_MATRIX}: compute it once, and keep it as a buffer",
    "_linalg_eigh": f"{_MATRIX}: compute it once, and keep it as a buffer",
}
