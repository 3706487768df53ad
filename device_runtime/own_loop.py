"""A user's own training loop: a Python file of the package, with what it imports beside it."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType

from device_runtime.formats.errors import FormatError
from device_runtime.formats.manifest import LOOP
from device_runtime.loop import Loop, TrainingRun

FUNCTION = "loop"


def load_loop(package: Path, name: str) -> Loop:
    """The loop that a file of the package holds.

    Args:
      package: its folder.
      name: the file's name.

    Raises:
      FormatError: the package has no such file, it fails when it is run, or it has no function `loop`.
    """
    folder = package / LOOP
    if not (folder / name).is_file():
        raise FormatError(f"the package has no loop {name}: package it with --loop, or train with --loop none")
    # First, as with `python file.py`.
    sys.path.insert(0, str(folder))
    with _told(folder, name):
        function = getattr(_module(folder / name), FUNCTION, None)
    if not callable(function):
        raise FormatError(f"{name} has no function {FUNCTION}(run)")

    def loop(run: TrainingRun) -> None:
        with _told(folder, name):
            function(run)

    return loop


def _module(path: Path) -> ModuleType:
    # Under a name of its own: a file called json.py is not the library's.
    loader = SourceFileLoader(f"loop {path.name}", str(path))
    spec = ModuleSpec(loader.name, loader, origin=str(path))
    spec.has_location = True
    module = module_from_spec(spec)
    # Its dataclasses look themselves up there.
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module


@contextmanager
def _told(folder: Path, name: str) -> Iterator[None]:
    """Makes one line of what goes wrong in a user's code, with its place; what the runner says stays as it is."""
    try:
        yield
    except (FormatError, KeyboardInterrupt):
        raise
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]
        # A signal that ends the program, a full disk, a reader that has gone.
        is_ours = isinstance(error, SystemExit | OSError) and not (own and own[-1] is frames[-1])
        if is_ours:
            raise
        where = f"{Path(own[-1].filename).relative_to(folder)}, line {own[-1].lineno}" if own else name
        said = " ".join(str(error).split())
        raise FormatError(f"{where}: {type(error).__name__}{': ' if said else ''}{said}") from error
