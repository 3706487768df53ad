"""A copy of a torch module: a run may change what a module keeps, so nobody runs the one that others are given."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from pipeline.errors import ModelError, in_one_line


def copied(module: nn.Module) -> nn.Module:
    """A module that shares nothing with the given one.

    Raises:
      ModelError: it keeps something that cannot be copied, or is no Python any more.
    """
    for path, child in module.named_modules():
        if isinstance(child, torch.jit.ScriptModule):
            raise ModelError(
                f"{f'the module {path!r}' if path else 'the model itself'} is scripted (torch.jit), of which sizes of "
                "the batch are numbers: give it as it was written"
            )
    # What is computed when a module is made, as by the old weight_norm, cannot be copied with its history.
    computed = [v for child in module.modules() for v in vars(child).values() if isinstance(v, Tensor)]
    try:
        new = copy.deepcopy(module, {id(value): value.detach().clone() for value in computed})
    # Whatever the user's objects raise.
    except Exception as error:
        raise ModelError(
            f"the module cannot be copied: {in_one_line(error)}; keep in it only what copy.deepcopy takes, and draw "
            "random numbers from torch's own generator"
        ) from error
    for own, parameter in zip(module.parameters(), new.parameters(), strict=True):
        # Which torch leaves behind.
        for hook in (own._backward_hooks or {}).values():
            parameter.register_hook(hook)  # type: ignore[no-untyped-call]
    return new
