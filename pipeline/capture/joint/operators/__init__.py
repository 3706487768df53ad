"""Reads a call of an ATen operator.
Writes operators of the training graph: the ONNX standard's, and onnxruntime-training's that `lowering/rules/` lowers.
Belongs here: an operator of torch: a function named after it, registered with `@translates`; modules are found.
"""

from __future__ import annotations

import importlib
import pkgutil

# Importing a module of rules registers its rules.
for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
