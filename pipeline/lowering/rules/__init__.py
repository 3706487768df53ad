"""Reads one operator of a training graph, writes the operators of the standard that do the same.

A new gradient is a function here, registered with `@lowers`, in the module of its kind; new modules are found.
"""

from __future__ import annotations

import importlib
import pkgutil

# Importing a module of rules registers its rules.
for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
