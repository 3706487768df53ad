"""Reads nothing.
Writes torch modules with their recipes: `build(classes)`, float32 N×C×H×W → logits N×classes, and `RECIPE`.
Belongs here: another model that comes with the project: one file, whose name is the model's name.
"""

from __future__ import annotations

import pkgutil

# What the head of `transfer` may stand on; here, because that module imports torch.
HEADS = ("logits", "features")


def names() -> list[str]:
    """Names of the models of this folder, without importing any of them (they import torch)."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))
