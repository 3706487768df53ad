"""The models that come with the project: one file each.

A model's module has `build(classes) -> torch.nn.Module`, whose input is float32 N×C×H×W and whose output is the logits
N×classes, and `RECIPE`. The module's name is the model's name.
"""

from __future__ import annotations

import pkgutil

# What the head of `transfer` may stand on; here, because that module imports torch.
HEADS = ("logits", "features")


def names() -> list[str]:
    """Names of the models of this folder, without importing any of them (they import torch)."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))
