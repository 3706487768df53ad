"""What has no form in the ONNX standard: why, and what to use instead. The refusal says it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from pipeline.errors import ModelError

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
