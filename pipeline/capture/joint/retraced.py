"""What AOTAutograd does a second time to the joint graph that it made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

aten = torch.ops.aten
# What a tensor that is changed in part becomes in torch's graph, which none but torch itself calls.
_CHANGED = (aten.slice_scatter.default, aten.select_scatter.default, aten.diagonal_scatter.default)


class Retraced(TorchFunctionMode):
    """In it complex tensors may be changed in part.

    Torch traces the joint graph anew, as if that were to be differentiated again, which it refuses of these.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func not in _CHANGED:
            return func(*args, **(kwargs or {}))
        with torch.no_grad():
            return func(*args, **(kwargs or {}))
