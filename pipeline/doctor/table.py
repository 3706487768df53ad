"""What is found, for people: with colours and lines on a terminal, plain where it goes elsewhere or rich is missing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.doctor.finding import Section, State
from pipeline.errors import as_typed, in_line
from pipeline.tables.columns import columns

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {State.OK: "green", State.NOTE: "yellow", State.FIX: "bold red"}
_WIDTH = max(len(state) for state in State)


def print_section(section: Section) -> None:
    """Prints the findings under their heading, what mends them on lines of their own."""
    console = _console()
    lines = [(finding.state, finding.said, finding.mend) for finding in section.findings]
    if console is None:
        print(section.title)
        for state, said, mend in lines:
            print(f"  {state:<{_WIDTH}}  {_line(said)}")
            if mend:
                print(f"  {'':<{_WIDTH}}  → {_line(mend)}")
        sys.stdout.flush()
        return
    from rich.text import Text

    console.print(Text(section.title, "bold"))
    for state, said, mend in lines:
        # A command that is broken at the terminal's edge is still copied as one line.
        console.print(Text.assemble("  ", (f"{state:<{_WIDTH}}", STYLES[state]), f"  {_line(said)}"), soft_wrap=True)
        if mend:
            console.print(Text(f"  {'':<{_WIDTH}}  → {_line(mend)}", "cyan"), soft_wrap=True)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints rows in columns; a column without any content is left out."""
    shown = [number for number in range(len(headings)) if any(row[number] for row in rows)]
    cells = [[row[number] for number in shown] for row in (headings, *rows)]
    console = _console()
    if console is None:
        print("\n".join(columns(cells)))
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(*cells[0], box=box.SIMPLE_HEAD)
    for row in cells[1:]:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    console.print(table)


def _console() -> Console | None:
    """rich's, where stdout is a terminal and rich is what it should be."""
    if not sys.stdout.isatty():
        return None
    try:
        from rich.console import Console
    except Exception:  # a doctor is called when packages are damaged, in any way
        return None
    return Console(highlight=False)


def _line(text: str) -> str:
    return as_typed(in_line(text))
