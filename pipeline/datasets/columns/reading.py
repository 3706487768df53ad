"""A CSV or Parquet file → its columns, with the types that they have there."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device_runtime.formats.dataset import MOST_IMAGES
from pipeline.datasets.columns.kinds import is_number
from pipeline.datasets.columns.text import decoded, delimiter_of
from pipeline.errors import DatasetError, brief, in_line

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".csv", ".tsv", ".parquet")

# What the parser takes as one piece, of which alone it knows the types of all rows.
_LARGEST_TEXT = 2**31 - 2

# Of the text, to see how its numbers are written.
_SAMPLE = 2**16

# Of a message that quotes the file.
_SHOWN = 160

# As UCI's tables and pandas have it, beside the usual ones.
_MISSING = ("?", "None", "<NA>")


def read_table(source: Path) -> pa.Table:
    """The columns of a file, each of a name of its own.

    Raises:
      DatasetError: it is damaged, empty, too large or without names, or pyarrow is not there.
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        raise DatasetError(f"{source} is read with pyarrow, which is not here: `pip install pyarrow`") from error
    read: Callable[[Path], Any] = _read_parquet if source.suffix.lower() == ".parquet" else _read_text
    try:
        table = read(source)
    except (pa.ArrowException, ValueError, OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DatasetError(f"{source} cannot be read: {in_line(' '.join(reason.split()))[:_SHOWN]}") from error
    names = [in_line(name).strip() for name in table.column_names]
    _check(source, names, table.num_rows)
    return table.rename_columns(names)


def _read_text(source: Path) -> pa.Table:
    from pyarrow import csv

    if source.stat().st_size > _LARGEST_TEXT:
        raise ValueError("it has more than 2 GiB; save it as Parquet")
    text = decoded(source.read_bytes())
    if "\0" in text[:_SAMPLE]:
        raise ValueError("it is no text")
    delimiter = delimiter_of(text)
    content = text.encode()
    # One block, in which the type of a column is that of all its values; only without threads are rows counted.
    return csv.read_csv(
        io.BytesIO(content),
        csv.ReadOptions(block_size=len(content) + 1, use_threads=False),
        csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        csv.ConvertOptions(
            null_values=[*csv.ConvertOptions().null_values, *_MISSING],
            strings_can_be_null=True,
            decimal_point="," if delimiter == ";" and _has_decimal_commas(text[:_SAMPLE]) else ".",
        ),
    )


def _has_decimal_commas(text: str) -> bool:
    """Where semicolons part the values, as tables of many languages do."""
    return len(re.findall(r"\d,\d", text)) > len(re.findall(r"\d\.\d", text))


def _read_parquet(source: Path) -> pa.Table:
    from pyarrow import parquet

    with parquet.ParquetFile(source) as file:
        # Before memory is taken for what a damaged file may say.
        _check_rows(source, file.metadata.num_rows)
        return file.read()


def _check(source: Path, names: list[str], rows: int) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1 and name]
    if twice:
        raise DatasetError(f"{source} has two columns of one name, {brief(twice)}: name each once")
    if names and all(is_number(name) for name in names):
        raise DatasetError(f"{source} begins with numbers, {brief(names, 5)}: put the names of the columns above them")
    if not rows:
        raise DatasetError(f"{source} has no row below its heading")
    _check_rows(source, rows)


def _check_rows(source: Path, rows: int) -> None:
    if rows > MOST_IMAGES:
        raise DatasetError(f"{source} has {rows:,} rows, of which {MOST_IMAGES:,} are read: give fewer")
