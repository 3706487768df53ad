"""torch.compile within a module: what it made computes the same as what it was given, and that is what is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def uncompiled() -> Iterator[None]:
    """In the block compiled modules and functions run as they were written: no graph is made twice, none waited for."""
    # Where torch traces, it refuses what is compiled, whatever it is told to do with it.
    traced = torch._dynamo.config.patch(error_on_nested_fx_trace=False)
    with torch.compiler.set_stance("force_eager"), traced:
        yield
