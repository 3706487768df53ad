"""What of a torch module trains, and in which mode the rest stands while it does.

What the recipe freezes is a fixed function, in evaluation mode. What the module freezes itself (`requires_grad=False`)
stands as its own `train()` sets it.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from torch import nn

from pipeline.errors import UsageError, brief
from pipeline.progress import note
from pipeline.sources.module_copy import copied


def trainable_names(module: nn.Module, patterns: Sequence[str]) -> list[str]:
    """The parameters that require a gradient and match a pattern.

    Raises:
      UsageError: there are none.
    """
    candidates = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
    trainable = [name for name in candidates if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]
    if not candidates:
        raise UsageError("the model has no parameter to train: all are frozen, or of another type than float32")
    if not trainable:
        raise UsageError(f"no parameter matches {', '.join(patterns)}: the model has {brief(candidates)}")
    return trainable


def held_modules(module: nn.Module, patterns: Sequence[str]) -> list[nn.Module]:
    """The modules that the recipe freezes as a whole, with all that is in them."""
    trainable = set(trainable_names(module, patterns))
    frozen = {id(p) for name, p in module.named_parameters() if p.requires_grad and name not in trainable}
    held: dict[nn.Module, None] = {}
    for child in module.modules():
        own, all_in_it = list(child.parameters(recurse=False)), list(child.parameters())
        if all_in_it and all(id(parameter) in frozen for parameter in all_in_it):
            held.update(dict.fromkeys(child.modules()))
        elif own and all(id(parameter) in frozen for parameter in own):
            held[child] = None
    return list(held)


def tell_modes(module: nn.Module, held: Sequence[nn.Module]) -> None:
    """Says in which mode frozen batch normalisation stands."""
    norms = {name: m for name, m in module.named_modules() if isinstance(m, nn.modules.batchnorm._NormBase)}
    frozen = {n: m for n, m in norms.items() if not any(p.requires_grad for p in m.parameters()) and [*m.parameters()]}
    kept = [name for name, norm in norms.items() if norm in held]
    moved = [name for name in frozen if name not in kept]
    if kept:
        note(f"frozen, in evaluation mode: {brief(kept, 3)}")
    if moved:
        note(
            f"frozen, in the mode that train() sets: {brief(moved, 3)}; what --trainable freezes is in evaluation mode"
        )


def for_training(module: nn.Module, patterns: Sequence[str]) -> tuple[nn.Module, list[nn.Module]]:
    """A copy of a module in which nothing but what trains requires a gradient, and its modules that are held.

    Raises:
      UsageError: nothing is left to train.
      ModelError: the module cannot be copied.
    """
    copy = copied(module)
    held, names = held_modules(copy, patterns), set(trainable_names(copy, patterns))
    for name, parameter in copy.named_parameters():
        parameter.requires_grad_(name in names)
    return copy, held
