"""What a user sees of the stages: a line each on stderr, and bars where output is a terminal."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from pipeline.errors import as_typed, in_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import ProgressColumn

# Takes what is done and what there is in all: things or bytes.
OnProgress = Callable[[int, int], None]

QUICK_S = 0.2


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Names a stage that takes long when it is over, and while it runs where output is a terminal."""
    from rich.console import Console

    console = Console(stderr=True)
    started = time.perf_counter()
    with console.status(name) if console.is_terminal else nullcontext():
        yield
    seconds = time.perf_counter() - started
    if seconds > QUICK_S:
        print(f"{name}: {seconds:.1f} s", file=sys.stderr, flush=True)


def note(line: str) -> None:
    """Tells what a stage found that the user may want to know, in one line."""
    print(as_typed(in_line(line)), file=sys.stderr, flush=True)


def tell_error(text: str) -> None:
    """Tells what a task ended with, in one line."""
    print(f"error: {as_typed(in_line(text))}", file=sys.stderr, flush=True)


@contextmanager
def counted(name: str) -> Iterator[OnProgress]:
    """A stage with a bar that counts things."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn

    console = Console(stderr=True)
    # A terminal shows one thing that moves at a time.
    with (
        nullcontext() if console.is_terminal else stage(name),
        _bar(console, name, MofNCompleteColumn()) as on_progress,
    ):
        yield on_progress


@contextmanager
def transfer(name: str) -> Iterator[OnProgress]:
    """A bar with bytes and rate."""
    from rich.console import Console
    from rich.progress import DownloadColumn, TransferSpeedColumn

    with _bar(Console(stderr=True), name, DownloadColumn(), TransferSpeedColumn()) as on_bytes:
        yield on_bytes


@contextmanager
def _bar(console: Console, name: str, *columns: ProgressColumn) -> Iterator[OnProgress]:
    from rich.progress import BarColumn, Progress, TextColumn

    shown = (TextColumn("{task.description}"), BarColumn(), *columns)
    with Progress(*shown, console=console, disable=not console.is_terminal, transient=True) as bars:
        task = bars.add_task(name, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


@contextmanager
def quiet() -> Iterator[None]:
    """Silences libraries that log at INFO from Python and write to stdout and stderr from C++."""
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)
    sys.stdout.flush()
    saved, sink = {number: os.dup(number) for number in (1, 2)}, os.open(os.devnull, os.O_WRONLY)
    for number in saved:
        os.dup2(sink, number)
    try:
        yield
    finally:
        sys.stdout.flush()
        for number, own in saved.items():
            os.dup2(own, number)
            os.close(own)
        os.close(sink)
        logging.getLogger().setLevel(level)
