"""A user's Python file that makes a torch module, and what lies beside it.

Its folder is where it looks first, as with `python file.py`.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType

from pipeline.errors import ModelError, UsageError, in_one_line
from pipeline.files import sha256_of


def load(path: Path) -> ModuleType:
    """The module that the file is; it is run once, however many stages ask for it.

    Raises:
      ModelError: it fails.
    """
    try:
        return _run(path.resolve(), sha256_of(path))
    except UsageError as error:
        raise ModelError(f"{path}: {error}") from error
    except (Exception, SystemExit) as error:
        raise ModelError(f"{path} cannot be imported: {in_one_line(error)}") from error


@cache
def _run(path: Path, digest: str) -> ModuleType:
    """Runs the file, of which a digest tells whether it is still the same."""
    # Under a name of its own: a file called random.py is not to hide the library's.
    name = f"model file {path}"
    loader = SourceFileLoader(name, str(path))
    spec = ModuleSpec(name, loader, origin=str(path))
    spec.has_location = True
    module = module_from_spec(spec)
    # Its dataclasses look themselves up there.
    sys.modules[name] = module
    with importing_beside(path):
        loader.exec_module(module)
    return module


@contextmanager
def importing_beside(path: Path | None) -> Iterator[None]:
    """Within the block a file's folder is where imports look first; None: nowhere else than before."""
    if path is None:
        yield
        return
    # First, for the same reason: torch itself imports random.
    import torch  # noqa: F401

    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def files_of(path: Path) -> list[Path]:
    """The file, and those beside it that it or they import: what a change of must be noticed."""
    folder = path.resolve().parent
    found, left = {path.resolve()}, [path.resolve()]
    while left:
        for name in _imported(left.pop()):
            module, package = folder / f"{name}.py", folder / name
            new = {module} if module.is_file() else set(package.rglob("*.py"))
            left += sorted(new - found)
            found |= new
    return sorted(found)


def _imported(path: Path) -> set[str]:
    """First parts of the names that a file imports, wherever in it; none where it cannot be read as Python."""
    try:
        nodes = list(ast.walk(ast.parse(path.read_bytes())))
    except (OSError, SyntaxError, ValueError):
        return set()
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    return {name.partition(".")[0] for name in names}
