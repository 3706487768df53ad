"""What a user sees of the rounds: on a terminal a table of devices that is drawn again, elsewhere a line a round."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipeline.errors import in_line
from pipeline.fleet.roll import Node
from pipeline.fleet.rounds import Outcome
from pipeline.fleet.wire import METRICS
from pipeline.progress import note

if TYPE_CHECKING:
    from flwr.app import Message

_REFRESHED_PER_S = 4


class Table:
    """The devices, and what each does now."""

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds
        self._number = 0
        self._began = time.monotonic()
        self._rows: dict[str, tuple[str, str, str]] = {}
        self._waiting = ""

    def waits(self, nodes: Sequence[Node]) -> None:
        """A round cannot begin yet."""
        why = "; ".join(f"{node.device}: {node.unready}" for node in nodes if node.unready) or "no node answers yet"
        if why != self._waiting:
            self._waiting = why
            note(f"waiting for devices: {why}")

    def begin(self, number: int, chosen: Sequence[Node]) -> None:
        """A round begins with these devices."""
        self._number, self._began, self._waiting = number, time.monotonic(), ""
        self._rows = {device: row for device, row in self._rows.items() if row[0] != "trains"}
        self._rows |= {node.device: ("trains", "", "") for node in chosen}

    def answer(self, device: str, answer: Message) -> None:
        """A device gave its update, or said why not."""
        if answer.has_error():
            self._rows[device] = (in_line(str(answer.error.reason)), "", "")
            return
        metrics = answer.content.metric_records[METRICS]
        seconds = time.monotonic() - self._began
        self._rows[device] = (f"trained, {seconds:.1f} s", f"{metrics['loss']:.4g}", f"{metrics['accuracy']:.4g}")

    def end(self, number: int, outcome: Outcome) -> None:
        """A round is over."""
        for device, why in outcome.missing.items():
            self._rows[device] = (in_line(why), "", "")
            note(f"round {number}: without {device}: {why}")
        count, loss = len(outcome.updates), float("nan") if outcome.loss is None else outcome.loss
        devices = "1 device" if count == 1 else f"{count} devices"
        took = time.monotonic() - self._began
        print(f"round {number} of {self._rounds}: {devices}, loss {loss:.4g}, {took:.1f} s", flush=True)

    def drawn(self) -> Any:
        """The table as rich draws it."""
        from rich.table import Table as Drawn

        drawn = Drawn(title=f"round {self._number} of {self._rounds}" if self._number else "waiting for devices")
        for heading in ("device", "", "loss", "accuracy"):
            drawn.add_column(heading)
        for device, row in sorted(self._rows.items()):
            drawn.add_row(in_line(device), *row)
        return drawn


@contextmanager
def shown(rounds: int) -> Iterator[Table]:
    """The table of so many rounds, drawn while the block runs where output is a terminal."""
    table = Table(rounds)
    if not (sys.stdout.isatty() and sys.stderr.isatty()):
        yield table
        return
    from rich.console import Console
    from rich.live import Live

    with Live(
        get_renderable=table.drawn,
        console=Console(stderr=True),
        refresh_per_second=_REFRESHED_PER_S,
        transient=True,
    ):
        yield table
