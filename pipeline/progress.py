"""What a user sees of the stages: a line each on stderr, and bars where output is a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

QUICK_S = 0.2


class Progress:
    """Reports stages and transfers; silent about what takes no time."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Names a stage that takes long when it is over, and while it runs where output is a terminal."""
        from rich.console import Console

        console = Console(stderr=True)
        started = time.perf_counter()
        if console.is_terminal:
            with console.status(name):
                yield
        else:
            yield
        seconds = time.perf_counter() - started
        if seconds > QUICK_S:
            print(f"{name}: {seconds:.1f} s", file=sys.stderr, flush=True)

    @contextmanager
    def counted(self, name: str) -> Iterator[Callable[[int, int], None]]:
        """A bar that counts; the callback takes things done and things in all."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bars

        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with (
            self.stage(name) if not console.is_terminal else nullcontext(),
            Bars(*columns, console=console, disable=not console.is_terminal, transient=True) as bars,
        ):
            task = bars.add_task(name, total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total)

    @contextmanager
    def transfer(self, name: str) -> Iterator[Callable[[int, int], None]]:
        """A bar with bytes and rate; the callback takes bytes done and bytes in all."""
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
        from rich.progress import Progress as Bars

        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Bars(*columns, console=console, disable=not console.is_terminal, transient=True) as bars:
            task = bars.add_task(name, total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total)
