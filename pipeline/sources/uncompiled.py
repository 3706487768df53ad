"""torch.compile within a module: what it made computes the same as what it was given, and that is what is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def uncompiled() -> Iterator[None]:
    """In the block compiled modules and functions run as they were written: no graph is made twice, none waited for."""
    # Where torch traces, it refuses what is compiled, whatever it is told to do with it.
    traced = torch._dynamo.config.patch(error_on_nested_fx_trace=False)
    torchs, torch.cond = torch.cond, _chosen
    try:
        with torch.compiler.set_stance("force_eager"), traced:
            yield
    finally:
        torch.cond = torchs


def _chosen(pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: Sequence[Any] = ()) -> Any:
    """Torch's cond, which would compile its branches: one of them."""
    return (true_fn if pred else false_fn)(*operands)
