"""How a function of the settings becomes a task: its options, its lock, its errors."""

from __future__ import annotations

import codecs
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from inspect import Parameter, Signature
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Any

from invoke.context import Context
from invoke.tasks import Task, task

from device_runtime.formats.errors import FormatError
from pipeline.configuration.declared import options_for
from pipeline.configuration.given import Typed
from pipeline.configuration.resolve import read_settings
from pipeline.errors import PipelineError
from pipeline.files import alone_in
from pipeline.progress import note, tell_error
from pipeline.settings import Settings

Body = Callable[[Settings], None]

# Tasks that change the build folder, or would be disturbed if another did.
BUILDING = (
    "export",
    "artifacts",
    "convert",
    "runtime",
    "package",
    "train",
    "eval",
    "run",
    "infer",
    "bench",
    "teach",
    "clean",
    "join",
)


def takes_options(body: Body) -> Task[Any]:
    """A task of a function of the settings: it takes the options whose declaration names it."""

    def run(typed: Typed) -> None:
        name = _name(body)
        # What takes no option needs no file, and is told nothing of one that is wrong.
        settings = read_settings(name, typed) if options_for(name) else Settings()
        with alone_in_build(settings.build) if name in BUILDING else nullcontext():
            body(settings)

    return _task(_name(body), body.__doc__, run)


def takes_typed(body: Callable[[Typed], None]) -> Task[Any]:
    """A task of a function of what was typed, which says itself what that means."""
    return _task(_name(body), body.__doc__, body)


def _name(body: Callable[..., None]) -> str:
    return body.__name__.rstrip("_")


def _task(name: str, doc: str | None, run: Callable[[Typed], None]) -> Task[Any]:
    options = options_for(name)

    def run_task(c: Context, **typed: Any) -> None:
        with one_line_errors():
            run(typed)

    run_task.__doc__ = doc
    # invoke reads a task's options from here. A switch is one that takes true or false: the program adds the true.
    run_task.__signature__ = Signature(  # type: ignore[attr-defined]
        [Parameter(n, Parameter.POSITIONAL_OR_KEYWORD, default=None) for n in ("c", *options)]
    )
    made: Task[Any] = task(
        name=name,
        help={n: option.help_for(name) for n, option in options.items()},
        # A letter for each option would be whichever is free: -h was the threads, -v a number of steps.
        auto_shortflags=False,
        optional=[n for n, option in options.items() if option.alone],
        iterable=[n for n, option in options.items() if option.words],
    )(run_task)
    return made


def alone_in_build(build: Path) -> AbstractContextManager[None]:
    """Holds the build folder against other tasks that change it; waits for one that has it, with a line."""
    return alone_in(build, lambda: note(f"waiting for another task that uses {build}; --build names another folder"))


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turns an error of the pipeline or of a file into one line on stderr and its exit code.

    SIGTERM cleans up as an interrupt does.
    """
    signal.signal(signal.SIGTERM, _terminate)
    _let_print_all()
    try:
        yield
        # What is left in the buffer would fail at exit, with a traceback.
        sys.stdout.flush()
    except PipelineError as error:
        tell_error(str(error))
        raise SystemExit(error.exit_code) from None
    except FormatError as error:
        tell_error(str(error))
        raise SystemExit(1) from None
    except BrokenPipeError:
        # Who read our output has gone.
        _drop_output()
        raise SystemExit(1) from None
    except OSError as error:
        # Whether a file exists is such an error itself where its folder may not be read.
        if error.filename is None and error.errno != errno.ENOSPC:
            raise
        if error.filename is None:
            # Writing, as opening does not, names no file: it may be stdout's.
            _drop_output()
        tell_error(f"{error.filename or 'a file or stdout cannot be written to'}: {error.strerror}")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None


def _let_print_all() -> None:
    """A folder's name may be any bytes, and is printed as it is; a terminal may not have every character."""
    if sys.stdout is None:
        # It was closed before we began: what is printed is nobody's.
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if isinstance(sys.stdout, TextIOWrapper):
        is_utf8 = codecs.lookup(sys.stdout.encoding).name == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")


def _drop_output() -> None:
    """What is left in the buffer would fail once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(143)
