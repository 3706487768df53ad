"""Reads one operator of a training graph.
Writes the operators of the ONNX standard that do the same.
Belongs here: a gradient: a function in the module of its kind, registered with `@lowers`; modules are found.
"""

from __future__ import annotations

import importlib
import pkgutil

# Importing a module of rules registers its rules.
for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
