"""A table of labels beside images → a listing: `labels.csv` with file, label and, if it says, split."""

from __future__ import annotations

import csv
import io
import os
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from device_runtime.formats.paths import LONGEST_NAME
from pipeline.datasets.columns.text import decoded, delimiter_of
from pipeline.datasets.layouts import Layout, found_photographs
from pipeline.datasets.photographs.listing import LabelledImage, LeftOut, Listing, choose_classes, in_order
from pipeline.datasets.photographs.split import SPLITS
from pipeline.datasets.photographs.walk import files_in, folders_in, is_image_name, walk
from pipeline.errors import DatasetError, brief, in_line, readable

NAME = "labels.csv"

UNNAMED = "images that no row names"
TWICE = "rows that say again what one says"

# What people write above the columns, in lower case; the first of them counts.
_FILE = (
    "file",
    "filename",
    "file_name",
    "path",
    "filepath",
    "image",
    "image_name",
    "image_path",
    "image_id",
    "img",
    "id",
)
_LABEL = ("label", "labels", "class", "class_name", "category", "target", "species", "breed")
_SPLIT = ("split", "set", "subset", "partition")


@dataclass(frozen=True)
class _Row:
    number: int
    file: str
    label: str
    split: str


def find_table(source: Path, wanted: Sequence[str] | None = ()) -> Listing | None:
    """The images that the table names; None where there is none, or it names no file here but folders are classes.

    A file is named from the folder on, or from the only folder in it. One that the table names and the folder lacks is
    listed too: converting it will say so.

    Raises:
      UsageError: a class is asked for that no row names.
      DatasetError: rows cannot be meant; one message names them all.
    """
    table = next((path for path in files_in(source) if path.name.lower() == NAME and path.is_file()), None)
    if table is None:
        return None
    walked, inside = walk(source), folders_in(source)
    there = _by_name(source, walked.images)
    base = inside[0].name if len(inside) == 1 else ""
    problems: list[str] = []
    rows = _rows(table, problems)
    files = {row: _locate(source, base, row, there, problems) for row in rows}
    if len(inside) > 1 and not any(path.exists() for path in files.values()):
        return None
    again = _refuse_contradictions(rows, files, problems)
    if problems:
        raise DatasetError(
            f"{table}: {brief(problems, separator='; ')}. Each row is a file, its label, and if you like its split"
        )
    classes = choose_classes(source, in_order({row.label for row in rows}), wanted)
    labels = {name: label for label, name in enumerate(classes)}
    images = [
        LabelledImage(
            files[row],
            labels[row.label],
            files[row].relative_to(source).as_posix(),
            SPLITS.get(row.split.lower(), ""),
        )
        for row in rows
        if row.label in labels and row not in again
    ]
    named = {*files.values(), table}
    left_out = [LeftOut(path, UNNAMED) for path in walked.images if path not in named]
    left_out += [LeftOut(files[row], TWICE) for row in rows if row in again and row.label in labels]
    left_out += [LeftOut(path, reason) for path, reason in walked.others if path not in named]
    return Listing(source, classes, tuple(images), (table,), tuple(left_out))


def _rows(table: Path, problems: list[str]) -> list[_Row]:
    """The rows below the heading, if there is one; what is wrong with others goes into `problems`."""
    text = decoded(table.read_bytes())
    delimiter = delimiter_of(text)
    try:
        lines = list(
            enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True), 1)
        )
    except csv.Error as error:
        raise DatasetError(f"{table} is no table: {error}") from error
    cells = [(number, [cell.strip() for cell in line]) for number, line in lines if any(cell.strip() for cell in line)]
    columns = _columns(cells[0][1]) if cells else None
    found: list[_Row] = []
    for number, line in cells[1:] if columns or _is_heading(cells) else cells:
        order = columns or tuple(range(max(2, min(3, len(line)))))
        values = [line[column] if column < len(line) else "" for column in order]
        file, label, split = (*values, "")[:3]
        if not file or not label or (not columns and len(line) > 3):
            problems.append(f"row {number} is not a file and a label: '{in_line(delimiter.join(line))[:60]}'")
        elif len(order) > 2 and split.lower() not in SPLITS:
            problems.append(f"row {number} has the split '{in_line(split)[:60]}', not train, test or validation")
        else:
            found.append(_Row(number, file, label, split))
    if not cells:
        problems.append("it is empty")
    return found


def _columns(heading: Sequence[str]) -> tuple[int, ...] | None:
    """Where file, label and split are, if the first row names the first two."""
    names = [cell.lower() for cell in heading]
    places = [next((names.index(word) for word in known if word in names), None) for known in (_FILE, _LABEL, _SPLIT)]
    if places[0] is None or places[1] is None:
        return None
    return tuple(place for place in places if place is not None)


def _is_heading(cells: Sequence[tuple[int, list[str]]]) -> bool:
    """Whether the first row, in words of its own, stands above files that look like images."""
    first = [is_image_name(Path(line[0])) for _, line in cells[:2]]
    return first == [False, True]


def _locate(source: Path, base: str, row: _Row, there: Mapping[str, Path], problems: list[str]) -> Path:
    """The file that a row names, whether it is there or not."""
    name = posixpath.normpath(row.file.replace("\\", "/"))
    if name.startswith("/") and Path(name).is_relative_to(source.absolute()):
        name = Path(name).relative_to(source.absolute()).as_posix()
    too_long = any(len(os.fsencode(part)) > LONGEST_NAME for part in name.split("/"))
    if name.startswith(("/", "../")) or name == ".." or "\0" in name or name[1:3] == ":/" or too_long:
        problems.append(f"row {row.number} names '{in_line(row.file)[:60]}', which is not in the folder")
        return source / f"row {row.number}"
    for known in (name, f"{base}/{name}"):
        if _plain(known) in there:
            return there[_plain(known)]
    inner = source / base / name
    return inner if base and inner.exists() else source / name


def _by_name(source: Path, images: Sequence[Path]) -> dict[str, Path]:
    """Images by their names from the folder on; without suffix too, where only one has that name."""
    whole = {_plain(path.relative_to(source).as_posix()): path for path in images}
    bare = Counter(posixpath.splitext(name)[0] for name in whole)
    stems = ((posixpath.splitext(name)[0], path) for name, path in whole.items())
    return {stem: path for stem, path in stems if bare[stem] == 1} | whole


def _plain(name: str) -> str:
    """As a table of another system may write it."""
    return unicodedata.normalize("NFC", readable(name))


def _refuse_contradictions(rows: Sequence[_Row], files: Mapping[_Row, Path], problems: list[str]) -> set[_Row]:
    """Rows that repeat an earlier one; those that contradict one go into `problems`."""
    first: dict[Path, _Row] = {}
    again: set[_Row] = set()
    for row in rows:
        other = first.setdefault(files[row], row)
        if other is row:
            continue
        again.add(row)
        if (other.label, other.split.lower()) != (row.label, row.split.lower()):
            problems.append(f"row {row.number} says of {in_line(row.file)} something else than row {other.number}")
    return again


LAYOUT = Layout(
    f"a table {NAME} (file, label, and if you like split) beside images",
    photographs=True,
    find=lambda source, wanted: found_photographs(find_table(source, wanted)),
)
