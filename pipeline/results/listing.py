"""The results folders as a table: a line each, also of those that are damaged."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from device_runtime.formats.errors import FormatError
from pipeline.errors import in_line
from pipeline.progress import note
from pipeline.results.records.results import read_results, results_folders
from pipeline.tables.columns import columns

_HEADINGS = ("began", "name", "model", "target", "accuracy", "steps", "state")
_NUMBERS = ("accuracy", "steps")


def list_runs(runs: Path) -> None:
    """Prints a line for each results folder in `runs`, the newest first; what is empty is a dash."""
    rows = [_HEADINGS, *([cell or "-" for cell in _cells(folder)] for folder in results_folders(runs))]
    if len(rows) == 1:
        note(f"{runs} has no results: `invoke run` makes some")
        return
    lines = columns(rows, [_HEADINGS.index(name) for name in _NUMBERS])
    if sys.stdout.isatty() and len(lines[0]) > shutil.get_terminal_size().columns:
        # A name begins with the time, and is what one types: it is to stay in one piece.
        lines = columns([row[1:] for row in rows], [_HEADINGS.index(name) - 1 for name in _NUMBERS])
    print("\n".join(lines))


def _cells(folder: Path) -> tuple[str, ...]:
    """What is listed of a results folder; of a damaged one the state says so, and the rest is empty."""
    name = in_line(folder.name)
    try:
        results = read_results(folder)
    except FormatError as error:
        return ("", name, "", "", "", "", f"damaged: {in_line(str(error))}")
    training = results.training
    return (
        f"{training.began:%Y-%m-%d %H:%M}" if training.began else "",
        name,
        in_line(training.model),
        results.target,
        "" if training.accuracy is None else f"{training.accuracy:.4g}",
        str(training.steps),
        training.state,
    )
