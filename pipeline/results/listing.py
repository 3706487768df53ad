"""The results folders as a table: a line each, also of those that are damaged."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from device_runtime.formats.errors import FormatError
from pipeline.errors import in_line
from pipeline.progress import note
from pipeline.results.records.results import read_results, results_folders
from pipeline.tables.columns import columns

_HEADINGS = ("began", "name", "model", "target", "accuracy", "steps", "state")
_NUMBERS = ("accuracy", "steps")


@dataclass(frozen=True)
class Line:
    """What is listed of a results folder; of a damaged one the state says so, and the rest is empty."""

    began: str
    name: str
    model: str
    target: str
    accuracy: str
    steps: str
    state: str


def list_runs(runs: Path) -> None:
    """Prints a line for each results folder in `runs`, the newest first."""
    lines = [_line(folder) for folder in results_folders(runs)]
    if not lines:
        note(f"{runs} has no results: `invoke run` makes some")
    elif sys.stdout.isatty():
        _print_table(lines)
    else:
        # A dash keeps the place of what is empty, for programs that split the line.
        rows = [_HEADINGS, *([cell or "-" for cell in _cells(line)] for line in lines)]
        print("\n".join(columns(rows, [_HEADINGS.index(name) for name in _NUMBERS])))


def _line(folder: Path) -> Line:
    name = in_line(folder.name)
    try:
        results = read_results(folder)
    except FormatError as error:
        return Line("", name, "", "", "", "", f"damaged: {error}")
    training, began = results.training, results.training.began
    return Line(
        began=f"{began:%Y-%m-%d %H:%M}" if began else "",
        name=name,
        model=in_line(training.model),
        target=results.target,
        accuracy="" if training.accuracy is None else f"{training.accuracy:.4g}",
        steps=str(training.steps),
        state=training.state,
    )


def _cells(line: Line) -> tuple[str, ...]:
    return (line.began, line.name, line.model, line.target, line.accuracy, line.steps, line.state)


def _print_table(lines: Sequence[Line]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in _HEADINGS:
        # A folder's name is what one types: it wraps, and is not cut.
        table.add_column(name, justify="right" if name in _NUMBERS else "left", overflow="fold")
    for line in lines:
        # Texts, as brackets in a name would be markup.
        table.add_row(*(Text(cell) for cell in _cells(line)))
    Console().print(table)
