"""The results folders as a table: a line each, also of those that are damaged."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from device_runtime.formats.errors import FormatError
from pipeline.errors import in_line
from pipeline.progress import note
from pipeline.results.records.results import read_results, results_folders
from pipeline.tables.columns import columns

_HEADINGS = ("began", "name", "model", "target", "accuracy", "steps", "state")
_NUMBERS = ("accuracy", "steps")


@dataclass(frozen=True)
class Row:
    """A line of the table; empty and None where something is not known."""

    began: datetime | None
    name: str
    model: str
    target: str
    score: float | None
    measure: str
    steps: str
    state: str

    def cells(self) -> list[str]:
        """As text; what is empty is a dash."""
        began = f"{self.began:%Y-%m-%d %H:%M}" if self.began else ""
        score = "" if self.score is None else f"{self.score:.4g}"
        # The column's heading names the usual one.
        score = f"{self.measure} {score}" if score and self.measure != "accuracy" else score
        told = (began, self.name, self.model, self.target, score, self.steps, self.state)
        return [in_line(cell) or "-" for cell in told]


def list_runs(runs: Path, others: Iterable[Row] = ()) -> None:
    """Prints a line for each training in `runs` and each of the others, the newest first."""
    found = sorted([*map(_row, results_folders(runs)), *others], key=lambda row: row.name, reverse=True)
    if not found:
        note(f"{runs} has no results: `invoke run` makes some")
        return
    rows = [_HEADINGS, *(row.cells() for row in found)]
    lines = columns(rows, [_HEADINGS.index(name) for name in _NUMBERS])
    if sys.stdout.isatty() and len(lines[0]) > shutil.get_terminal_size().columns:
        # A name begins with the time, and is what one types: it is to stay in one piece.
        lines = columns([row[1:] for row in rows], [_HEADINGS.index(name) - 1 for name in _NUMBERS])
    print("\n".join(lines))


def damaged_row(folder: Path, error: FormatError) -> Row:
    """That of a folder of which its name alone can be told, and why."""
    return Row(None, folder.name, "", "", None, "", "", f"damaged: {error}")


def _row(folder: Path) -> Row:
    try:
        results = read_results(folder)
    except FormatError as error:
        return damaged_row(folder, error)
    training = results.training
    return Row(
        training.began,
        folder.name,
        training.model,
        results.target,
        training.score,
        training.measure,
        str(training.steps),
        training.state,
    )
