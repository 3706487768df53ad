"""Columns → the numbers of a sample, as the training rows decide: numbers are scaled, of categories each has its place.

Writes columns.json, so that whoever asks the trained model makes the same of other rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from device_runtime.formats.records import parse_object, typed
from pipeline.datasets.columns.kinds import EMPTY, NUMBER, Categories, categories_of, is_number, kind_of, numbers_of
from pipeline.errors import DatasetError, brief
from pipeline.files import read_converted
from pipeline.recipe import CategoriesForm

if TYPE_CHECKING:
    import pyarrow as pa

FILE_NAME = "columns.json"

# In memory at once: 8 GiB.
_MOST_NUMBERS = 2**31

# Of a value in a line.
_SHOWN = 20

# A number as people write it: with a unit, or marks within.
_DIGITS = re.compile(r"\W*\d[\d.,' ]*\W*")

# Of a number's deviation, against its size: what is less is rounding.
_NO_DEVIATION = 1e-9

# Texts that differ in more than half of so many rows say nothing of others.
_FEW_ROWS = 40


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers: one that is missing is `median`, and from each `mean` is taken, then divided by `std`."""

    name: str
    median: float
    mean: float
    std: float


@dataclass(frozen=True)
class CategoryColumn:
    """A column of texts by the values that the training rows have; None is one that is missing."""

    name: str
    values: tuple[str | None, ...]


@dataclass(frozen=True)
class Encoding:
    """How the columns of a row become a sample: its numbers first, then its categories, each in their order.

    Attributes:
      target: the name of what the model says.
      form: of a category: `one_hot`, 1 at the place of its value and 0 at the others; `embedded`, that place counted
        from 1, and 0 for a value that no training row has.
    """

    target: str
    numbers: tuple[NumberColumn, ...]
    categories: tuple[CategoryColumn, ...]
    form: CategoriesForm = "one_hot"

    @property
    def size(self) -> int:
        """How many numbers a sample has."""
        sizes = (len(column.values) if self.form == "one_hot" else 1 for column in self.categories)
        return len(self.numbers) + sum(sizes)


@dataclass(frozen=True)
class Columns:
    """A table's columns as numpy has them, and what there is to say about them."""

    numbers: dict[str, npt.NDArray[np.float64]]
    categories: dict[str, Categories]
    told: tuple[str, ...]


def read_columns(source: Path, table: pa.Table, names: Sequence[str]) -> Columns:
    """The columns of which a sample is made.

    Raises:
      DatasetError: some cannot be; one message names them all.
    """
    numbers: dict[str, npt.NDArray[np.float64]] = {}
    categories: dict[str, Categories] = {}
    problems: list[str] = []
    empty: list[str] = []
    for name in names:
        try:
            kind = kind_of(table[name])
            if kind == EMPTY:
                empty.append(name)
            elif kind == NUMBER:
                numbers[name] = numbers_of(table[name])
            else:
                categories[name] = categories_of(table[name])
        except ValueError as error:
            problems.append(f"the column {name} {error}")
    if problems:
        raise DatasetError(f"{source}: {brief(problems, separator='; ')}")
    told = [f"columns without a value were left out: {brief(empty)}"] if empty else []
    misread = misread_columns(categories)
    free = [
        name
        for name, found in categories.items()
        if name not in misread and len(found.codes) > _FEW_ROWS and _differ(found)
    ]
    if free:
        told.append(f"columns that differ in most rows tell little, remove them: {brief(free)}")
    if misread:
        shown = [f"{name} ({brief(values, 3)})" for name, values in misread.items()]
        told.append(
            f"columns of texts look like numbers: {brief(shown)}: write 1234.5, and nothing where one is missing"
        )
    return Columns(numbers, categories, tuple(told))


def misread_columns(categories: Mapping[str, Categories]) -> dict[str, list[str]]:
    """Columns that are texts, but most of whose values are numbers however written; of each the values that are not."""
    misread: dict[str, list[str]] = {}
    for name, found in categories.items():
        odd = [value for value in found.names if not is_number(value)]
        written = [value for value in odd if _DIGITS.fullmatch(value)]
        if 2 * len(odd) < len(found.names) or (written and 2 * len(written) > len(odd)):
            misread[name] = [repr(value[:_SHOWN]) for value in written or odd]
    return misread


def fitted(source: Path, target: str, columns: Columns, rows: npt.NDArray[np.int64], form: CategoriesForm) -> Encoding:
    """How columns become samples, as some rows, those of training, decide.

    Raises:
      DatasetError: nothing is left, or too much for this machine.
    """
    numbers = [_fitted_number(name, values[rows][~np.isnan(values[rows])]) for name, values in columns.numbers.items()]
    categories = [_fitted_category(name, found, rows) for name, found in columns.categories.items()]
    encoding = Encoding(target, tuple(numbers), tuple(categories), form)
    total = len(next(iter((*columns.numbers.values(), *(found.codes for found in columns.categories.values()))), ()))
    if not encoding.size:
        raise DatasetError(f"{source} has no value beside its target")
    if encoding.size * total > _MOST_NUMBERS:
        raise DatasetError(f"{source} would be {total:,} × {encoding.size:,} numbers: remove columns of many texts")
    return encoding


def encoded(columns: Columns, encoding: Encoding, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Samples of some rows, N×K."""
    made = np.zeros((len(rows), encoding.size), np.float32)
    for place, column in enumerate(encoding.numbers):
        values = columns.numbers[column.name][rows]
        made[:, place] = (np.where(np.isnan(values), column.median, values) - column.mean) / column.std
    start = len(encoding.numbers)
    for category in encoding.categories:
        found = columns.categories[category.name]
        known = {value: place for place, value in enumerate(category.values)}
        # The last is that of a missing one, of code −1.
        places = np.array([known.get(name, -1) for name in (*found.names, None)])[found.codes[rows]]
        if encoding.form == "embedded":
            made[:, start] = places + 1
            start += 1
        else:
            there = np.flatnonzero(places >= 0)
            made[there, start + places[there]] = 1
            start += len(category.values)
    return made


def embedded_line(encoding: Encoding) -> list[str]:
    """A line of what layers `Embedding` are given, where categories are."""
    if encoding.form != "embedded" or not encoding.categories:
        return []
    places = [f"{column.name} {len(column.values) + 1}" for column in encoding.categories]
    return [f"categories are numbers from 0, for embeddings of so many: {brief(places)}"]


def filled_line(columns: Columns) -> list[str]:
    """A line where numbers are missing."""
    counts = {name: np.count_nonzero(np.isnan(values)) for name, values in columns.numbers.items()}
    filled = [f"{name} {count:,}" for name, count in counts.items() if count]
    return [f"missing numbers are the median of the training rows now: {brief(filled)}"] if filled else []


def write_encoding(folder: Path, encoding: Encoding) -> None:
    """Writes columns.json beside dataset.json."""
    (folder / FILE_NAME).write_text(text_of(encoding) + "\n")


def text_of(encoding: Encoding) -> str:
    """As JSON."""
    return json.dumps(asdict(encoding))


def read_encoding(folder: Path) -> Encoding:
    """Reads columns.json.

    Raises:
      FormatError: it is missing or damaged.
    """
    encoding: Encoding = read_converted(folder / FILE_NAME, lambda text: typed(Encoding, parse_object(text)))
    return encoding


def _fitted_number(name: str, values: npt.NDArray[np.float64]) -> NumberColumn:
    """By the values that are there; of none of them, all are 0."""
    if not len(values):
        return NumberColumn(name, 0.0, 0.0, 1.0)
    mean, std = float(values.mean()), float(values.std())
    is_constant = std <= _NO_DEVIATION * abs(mean) or not np.isfinite(std)
    return NumberColumn(name, float(np.median(values)), mean, 1.0 if is_constant else std)


def _fitted_category(name: str, found: Categories, rows: npt.NDArray[np.int64]) -> CategoryColumn:
    met = np.unique(found.codes[rows]).tolist()
    values = sorted(found.names[code] for code in met if code >= 0)
    return CategoryColumn(name, (*values, None) if -1 in met else tuple(values))


def _differ(found: Categories) -> bool:
    return 2 * len(found.names) > len(found.codes)
