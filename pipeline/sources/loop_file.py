"""A user's own training loop: a Python file that is packed with what it imports beside it, and never run here."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from device_runtime.formats.manifest import LOOP
from device_runtime.formats.option_values import NO_LOOP
from pipeline.errors import UsageError, in_line
from pipeline.packing.runtime import read_rules
from pipeline.sources.python_file import files_of

FUNCTION = "loop"

# What a device has beside the standard library.
_THERE = ("numpy", "device_runtime")


def loop_files(given: str | None) -> dict[str, bytes]:
    """Files of a package by name: the loop and those beside it that it imports; nothing where none is asked for.

    Args:
      given: `--loop`.

    Raises:
      UsageError: the file cannot be read or is no Python, it has no function `loop(run)`, or one of the files imports
        what a device does not have.
    """
    if given is None or given == NO_LOOP:
        return {}
    path = Path(given)
    if not path.is_file():
        raise UsageError(f"--loop {path}: no such file")
    folder, files = path.resolve().parent, files_of(path)
    trees = {file: _parsed(path, file) for file in files}
    _check_function(path, trees[path.resolve()])
    beside = {file.relative_to(folder).parts[0].removesuffix(".py") for file in files}
    for file, tree in trees.items():
        _check_relative(path, file, tree, len(file.relative_to(folder).parts) - 1)
        for line, name in _imports(tree):
            if name.partition(".")[0] not in beside and not _is_there(name):
                raise UsageError(
                    f"--loop {path}: line {line} of {file.name} imports {name}: a device has numpy and most of the "
                    "standard library, and what lies beside the file"
                )
    return {f"{LOOP}/{file.relative_to(folder).as_posix()}": file.read_bytes() for file in files}


def _parsed(path: Path, file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_bytes(), file.name)
    except SyntaxError as error:
        raise UsageError(f"--loop {path}: line {error.lineno} of {file.name}: {error.msg}") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"--loop {path}: {file.name} cannot be read as Python: {in_line(str(error))}") from error


def _check_function(path: Path, tree: ast.Module) -> None:
    """Refuses a file without the function, and one that does nothing when it is called."""
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    found = next((function for function in reversed(functions) if function.name == FUNCTION), None)
    if found is None:
        raise UsageError(f"--loop {path}: it has no function {FUNCTION}(run)")
    where, taken = f"--loop {path}: line {found.lineno}: {FUNCTION}", found.args
    places = [*taken.posonlyargs, *taken.args]
    takes_one = len(places) - len(taken.defaults) <= 1 and (places or taken.vararg) and None not in taken.kw_defaults
    if not takes_one:
        raise UsageError(f"{where} is called with the run alone: {FUNCTION}(run)")
    if isinstance(found, ast.AsyncFunctionDef) or any(isinstance(n, ast.Yield | ast.YieldFrom) for n in _inside(found)):
        raise UsageError(f"{where} is async or yields: a call of it would train nothing")


def _inside(function: ast.AST) -> Iterator[ast.AST]:
    """What a function itself does, without what is defined in it."""
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            yield child
            yield from _inside(child)


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and full name of what a file imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module


def _check_relative(path: Path, file: Path, tree: ast.Module, depth: int) -> None:
    """Refuses an import that leads out of the packages that a file is in, as many as `depth`: Python does there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level > depth:
            dots, name = "." * node.level, node.module or node.names[0].name
            raise UsageError(
                f"--loop {path}: line {node.lineno} of {file.name} imports from {dots}, and is in no such package: "
                f"name what lies beside it without the dots, as `import {name}`"
            )


def _is_there(name: str) -> bool:
    """Whether a device can import a module: packaging/runtime.toml says what of all is left out there."""
    if name.partition(".")[0] not in {*_THERE, *sys.stdlib_module_names}:
        return False
    rules = read_rules()
    parts = name.split(".")
    paths = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    # A module in C under its own name, or behind a file of Python that is nothing without it.
    paths += [f"{path}.py" for path in paths] + [f"lib-dynload/{stem}{parts[0]}.so" for stem in ("", "_")]
    left_out = [p for p in (*rules.unused, *rules.unused_stdlib) if p not in _DISPENSABLE]
    return not any(fnmatch(path, pattern) for path in paths for pattern in left_out)


# Parts in C of modules that are the same without them.
_DISPENSABLE = ("lib-dynload/_hashlib*", "lib-dynload/_uuid*")
