"""What AOTAutograd does a second time to the joint graph that it made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten
# What a tensor that is changed in part becomes in torch's graph, which none but torch itself calls.
CHANGED = (aten.slice_scatter.default, aten.select_scatter.default, aten.diagonal_scatter.default)


def changed_in_part(torchs: Callable[..., Tensor], *args: Any, **options: Any) -> Tensor:
    """One of `CHANGED`, of complex tensors too.

    Torch traces the joint graph anew, as if that were to be differentiated again, which it refuses of these.
    """
    with torch.no_grad():
        return torchs(*args, **options)
