"""A table as a file, CSV or Parquet: a row is a sample, one column its target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.datasets.arrays.samples import Table, doubt_line, meaning_of, prepared_samples
from pipeline.datasets.arrays.writing import completed, write_splits
from pipeline.datasets.columns.encoding import embedded_line, encoded, filled_line, fitted, read_columns, write_encoding
from pipeline.datasets.columns.reading import SUFFIXES, read_table
from pipeline.datasets.columns.roles import groups_of, roles_of, splits_of
from pipeline.datasets.columns.target import target_of
from pipeline.datasets.layouts import Conversion, Found, Layout
from pipeline.datasets.layouts.table import NAME as LABELS
from pipeline.datasets.photographs.account import Converted
from pipeline.errors import DatasetError, UsageError


def convert_table(source: Path, folder: Path | None, conversion: Conversion) -> Converted:
    """Writes a dataset into `folder`; without one, everything is read all the same.

    Raises:
      UsageError: a column is asked for that is not there.
      DatasetError: the table cannot be read, or a column cannot be learnt from.
    """
    table = read_table(source)
    roles = roles_of(source, table.column_names, conversion.target_column, conversion.group_column)
    target = target_of(source, roles.target, table[roles.target])
    columns = read_columns(source, table, roles.features)
    given = splits_of(source, table[roles.split]) if roles.split else np.full(table.num_rows, "train")
    if "train" not in given:
        raise DatasetError(f"{source}: the column {roles.split} leaves no row to train on")
    groups = groups_of(source, table[roles.group]) if roles.group else np.arange(table.num_rows)
    # The numbers of rows are split, since what they become is for those of training to decide.
    rows = np.arange(table.num_rows)
    parts = {
        str(split): Table(rows[chosen], target.y[chosen], groups[chosen])
        for split in np.unique(given)
        for chosen in [given == split]
    }
    meaning = meaning_of(parts, target.kind, None, target.names)
    splits = completed(parts, meaning, conversion.seed)
    encoding = fitted(source, roles.target, columns, splits["train"].x, conversion.categories)
    told = [*roles.told, *columns.told, *filled_line(columns), *embedded_line(encoding), *doubt_line(parts, meaning)]
    samples = {
        split: replace(part, x=prepared_samples(encoded(columns, encoding, part.x), f"x of {split}", told))
        for split, part in splits.items()
    }
    if folder:
        write_encoding(folder, encoding)
    return write_splits(samples, meaning, conversion.name, folder, told)


def _find_table(source: Path, wanted: Sequence[str] | None) -> Found | None:
    if source.is_dir():
        return None
    if source.name.lower() == LABELS:
        raise DatasetError(f"{source} names images: give the folder that holds them, or call a table otherwise")
    if wanted:
        raise UsageError(f"--classes chooses folders of photographs, {source} is a table: leave other rows out")
    return Found((source,), partial(convert_table, source), (), source.stem, has_columns=True)


LAYOUT = Layout(
    "a table: a .csv, .tsv or .parquet file, a row for each sample, with its target in one column",
    photographs=False,
    find=_find_table,
    files=SUFFIXES,
)
