"""Whether modules can be imported: tried in a process of its own, as a damaged one may end it, or never end."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from pipeline.commands import run
from pipeline.errors import CommandError
from pipeline.targets.adb.parse import PORT_VARIABLE

# torch alone takes seconds, and minutes from a cold network disk.
TIMEOUT_S = 180.0

_MARK = "imported"
_TRY = f"""
import importlib, os, sys
# What a module prints is not the answer.
answers = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
os.dup2(2, 1)
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
        said = ""
    except BaseException as error:
        said = " ".join(f"{{type(error).__name__}}: {{error}}".split())
    print({_MARK!r}, name, said, file=answers, flush=True)
"""


def failed_imports(modules: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Why packages cannot be imported, by their names; those that can are left out.

    Args:
      modules: the modules of each package.
    """
    try:
        said = _tried([module for names in modules.values() for module in names])
    except CommandError:
        # One of them ends the process: each by itself then.
        said = {}
        for module in (module for names in modules.values() for module in names):
            try:
                said |= _tried([module])
            except CommandError as error:
                said[module] = str(error).splitlines()[-1]
    ended = "the import ends the process"
    found = {package: [why for name in names if (why := said.get(name, ended))] for package, names in modules.items()}
    return {package: reasons[0] for package, reasons in found.items() if reasons}


def _tried(modules: Sequence[str]) -> dict[str, str]:
    if not modules:
        return {}
    # adbutils reads the port as it is imported: one that is none is no damage of the package.
    environment = {name: value for name, value in os.environ.items() if name != PORT_VARIABLE}
    lines = run([sys.executable, "-c", _TRY, *modules], timeout_s=TIMEOUT_S, env=environment).splitlines()
    answers = [line.removeprefix(f"{_MARK} ").partition(" ") for line in lines if line.startswith(_MARK)]
    return {name: said for name, _, said in answers}
