"""How far a training is, on the last lines of a terminal while it runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from device_runtime.formats.moment import Moment

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

OnMoment = Callable[[Moment], None]

# Drawing takes time from a training on this machine.
_DRAWN_PER_S = 4
# In cells. A terminal that becomes narrower breaks its lines anew, and nothing clears what is then one more.
_BAR_WIDTH = 40
# What a terminal says of Ctrl-C stands behind the last line, and is to break none.
_ROOM = len("^C") + 1


def can_show() -> bool:
    """Whether a user sees both outputs on a terminal, of which lines can be written again."""
    return sys.stdout.isatty() and sys.stderr.isatty() and not _console().is_dumb_terminal


@contextmanager
def display() -> Iterator[OnMoment]:
    """Takes how far a training is and shows it, from the first time on, below what is printed in the meantime.

    Where output is no terminal, nothing is shown.
    """
    if not can_show():
        yield lambda moment: None
        return

    from rich.live import Live

    last: list[Moment] = []
    console = _console()
    live = Live(
        get_renderable=lambda: _drawn(last[-1], console.width - _ROOM) if last else "",
        console=console,
        refresh_per_second=_DRAWN_PER_S,
        transient=True,
    )

    def show(moment: Moment) -> None:
        last[:] = [moment]
        live.start(refresh=True)

    try:
        yield show
    finally:
        live.stop()


def facts(moment: Moment) -> list[str]:
    """What is known, the most important first."""
    told = [f"step {moment.step} of {moment.steps}"]
    if moment.loss is not None:
        told.append(f"loss {moment.loss:.4g}")
    if moment.score is not None:
        told.append(f"{moment.measure} {moment.score:.4g}")
    if moment.paused:
        told.append("paused")
    if moment.images_per_second is not None:
        rate = moment.images_per_second
        told.append(f"{rate:,.0f} images/s" if rate >= 10 else f"{rate:.2g} images/s")
    if moment.seconds_left is not None:
        told.append(f"{timedelta(seconds=round(moment.seconds_left))} left")
    return told


def _drawn(moment: Moment, width: int) -> RenderableType:
    from rich.columns import Columns
    from rich.constrain import Constrain
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    drawn = Table.grid(expand=True)
    drawn.add_row(ProgressBar(total=max(moment.steps, 1), completed=moment.step, width=_BAR_WIDTH))
    # As many side by side as the terminal is wide.
    drawn.add_row(Columns([Text(fact, no_wrap=True) for fact in facts(moment)], padding=(0, 3)))
    return Constrain(drawn, max(width, 1))


def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True)
