"""What a module keeps in Python from one run to the next: positions it made once, its last features, a hidden state."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

# What torch keeps in a module: parameters, buffers, modules and hooks, which others look after.
_TORCHS_OWN = frozenset(vars(nn.Module()))
_CONTAINERS = (dict, list, set)


@contextmanager
def forgetting(module: nn.Module) -> Iterator[None]:
    """After the block the module's classes keep what they kept before it.

    Torch runs a module several times to trace it, and what one run left would be no tensor of the next one's.
    """
    kept = [(vars(child), _own(child)) for child in module.modules()]
    contents = [(v, copy.copy(v)) for _, own in kept for v in own.values() if isinstance(v, _CONTAINERS)]
    try:
        yield
    finally:
        for state, own in kept:
            for name in state.keys() - own.keys() - _TORCHS_OWN:
                del state[name]
            state.update(own)
        for container, before in contents:
            _refill(container, before)


def _own(child: nn.Module) -> dict[str, Any]:
    return {name: value for name, value in vars(child).items() if name not in _TORCHS_OWN}


def _refill(container: Any, before: Any) -> None:
    container.clear()
    if isinstance(container, list):
        container.extend(before)
    else:
        container.update(before)


def forget_each_run(module: nn.Module) -> None:
    """Makes a module that keeps nothing of a run for the next one."""
    forward = module.forward

    def forgetful(*arguments: Any, **options: Any) -> Any:
        with forgetting(module):
            return forward(*arguments, **options)

    module.forward = forgetful
