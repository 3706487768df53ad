"""What each class, label or value is worth, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from device_runtime.formats.metrics import Record

# What may be recorded of a class or label, and of a value; the first is what a table is cut by.
_MEASURES = ("f1", "precision", "recall", "r2", "mae", "rmse")

_MOST_ROWS = 50


@dataclass(frozen=True)
class Each:
    """A table: a row for each name, with a number for each measure and how many samples there were.

    Attributes:
      of: how many there are in all; of more than fit, the rows are those of the lowest first measure.
    """

    measures: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str], int]]
    of: int


def each_of(records: Sequence[Record]) -> Each | None:
    """The table of records of the event `class`; None where there is none."""
    known = [name for name in _MEASURES if records and all(isinstance(r.get(name), int | float) for r in records)]
    if not known:
        return None
    shown = list(records)
    if len(records) > _MOST_ROWS:
        shown = sorted(records, key=lambda record: float(record[known[0]]))[:_MOST_ROWS]
    rows = [(str(r["name"]), [f"{float(r[name]):.4g}" for name in known], int(r["count"])) for r in shown]
    return Each(known, rows, len(records))
