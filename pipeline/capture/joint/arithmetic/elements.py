"""Indices that are tensors without an axis, as of argmax or of a buffer that counts: torch would read their values."""

from __future__ import annotations

from collections.abc import Callable
from types import EllipsisType
from typing import Any

import torch
from torch import Tensor

_ALL = slice(None)


def getitem(torchs: Callable[..., Tensor], x: Tensor, index: Any) -> Tensor:
    """Torch's x[index]."""
    parts = index if isinstance(index, tuple) else (index,)
    if not any(map(_is_element, parts)):
        return torchs(x, index)
    axes, axis, others = x.dim(), 0, []
    for part in parts:
        if _is_element(part):
            x = x[(*[_ALL] * axis, part.view(1))].squeeze(axis)
        else:
            others.append(part)
            axis += axes - sum(map(_taken, parts)) if part is Ellipsis else _taken(part)
    return torchs(x, tuple(others)) if others else x


def setitem(torchs: Callable[..., None], x: Tensor, index: Any, value: Any) -> None:
    """Torch's x[index] = value, of one such index beside slices and numbers."""
    parts = index if isinstance(index, tuple) else (index,)
    places = [place for place, part in enumerate(parts) if _is_element(part)]
    if len(places) != 1 or not all(_is_basic(part) for part in parts if not _is_element(part)):
        torchs(x, index, value)
        return
    (place,) = places
    viewed = x[(*parts[:place], _ALL, *parts[place + 1 :])]
    rest = x.dim() - sum(map(_taken, parts))
    axis = sum(rest if part is Ellipsis else not isinstance(part, int) for part in parts[:place])
    if isinstance(value, Tensor):
        value = value.expand(viewed.select(axis, 0).shape).unsqueeze(axis)
    viewed[(*[_ALL] * axis, parts[place].view(1))] = value


def _is_element(part: Any) -> bool:
    return isinstance(part, Tensor) and part.dim() == 0 and part.dtype != torch.bool


def _is_basic(part: Any) -> bool:
    return part is None or (isinstance(part, (int, slice, EllipsisType)) and not isinstance(part, bool))


def _taken(part: Any) -> int:
    """How many axes of a tensor a part of an index is of, an ellipsis apart."""
    if part is None or part is Ellipsis:
        return 0
    return part.dim() if isinstance(part, Tensor) and part.dtype == torch.bool else 1
