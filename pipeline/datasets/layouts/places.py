"""Places' own layout → a listing: `val_256/*.jpg`, places365_val.txt (name, label), categories_places365.txt.

Lines: `Places365_val_00000001.jpg 165` and `/b/bus_station/indoor 78`. The class of the latter is
`bus_station-indoor`: the letter is only a shelf, and a class is one folder.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from device_runtime.formats.paths import LONGEST_NAME
from pipeline.datasets.layouts import Layout, found_photographs
from pipeline.datasets.photographs.listing import LabelledImage, LeftOut, Listing, choose_classes
from pipeline.datasets.photographs.walk import walk
from pipeline.errors import DatasetError, brief

LABELS = "places365_val.txt"
CATEGORIES = "categories_places365.txt"
# As many as the original takes.
DEFAULT_CLASSES = 10

_LABEL = re.compile("[0-9]{1,9}")

UNNAMED = f"images that {LABELS} does not name"

IMAGE_FOLDERS = ("val_256", "val_large")


def find_places(source: Path, wanted: Sequence[str] | None = ()) -> Listing | None:
    """The images of the chosen classes in the order of the labels; None where nothing looks like Places.

    Without `wanted` the classes are the ten lowest labels that the table names. An image that the table names and the
    folder lacks is listed too: converting it will say so.

    Raises:
      UsageError: a class is asked for that no label names.
      DatasetError: a part of Places is missing or a line cannot be read; one message names everything that is wrong.
    """
    folder = next((source / name for name in IMAGE_FOLDERS if (source / name).is_dir()), None)
    tables = {name: (source / name).is_file() for name in (LABELS, CATEGORIES)}
    if not folder and not any(tables.values()):
        return None
    missing = [name for name, there in tables.items() if not there] + ([] if folder else [f"{IMAGE_FOLDERS[0]}/"])
    if missing or not folder:
        raise DatasetError(f"{source} lacks {', '.join(missing)}: put Places' two text files beside its images")
    problems: list[str] = []
    names = {label: class_name(category) for category, label in _table(source / CATEGORIES, problems)}
    rows = _table(source / LABELS, problems)
    problems += [
        f"{LABELS}: {name[:60]} has label {label}, not in {CATEGORIES}" for name, label in rows if label not in names
    ]
    problems += [f"{LABELS}: {name[:60]!r} is not the name of a file" for name, _ in rows if not _is_name(name)]
    problems += [
        f"{LABELS} names {name[:60]} twice" for name, count in Counter(name for name, _ in rows).items() if count > 1
    ]
    if problems:
        raise DatasetError(f"{source}: {brief(problems, separator='; ')}. Take both files of one release of Places365")
    available = [names[label] for label in sorted({label for _, label in rows})]
    asked = None if wanted is None else [class_name(name) for name in wanted]
    classes = choose_classes(source, available, asked, DEFAULT_CLASSES)
    labels = {name: index for index, name in enumerate(classes)}
    images = tuple(LabelledImage(folder / name, labels[names[old]], name) for name, old in rows if names[old] in labels)
    fewer = not wanted and len(classes) < len(available)
    told = (f"of {len(available)} classes the first {len(classes)} are taken: --classes chooses",) if fewer else ()
    walked, named = walk(folder), {folder / name for name, _ in rows}
    left_out = [LeftOut(path, UNNAMED) for path in walked.images if path not in named]
    left_out += [LeftOut(path, reason) for path, reason in walked.others if path not in named]
    return Listing(source, classes, images, (source / LABELS, source / CATEGORIES), tuple(left_out), told=told)


def class_name(category: str) -> str:
    """`/b/bus_station/indoor`, as Places writes it, or `bus_station/indoor` → `bus_station-indoor`."""
    parts = category.strip("/").split("/")
    shelved = category.startswith("/") and len(parts) > 1 and len(parts[0]) == 1
    return "-".join(parts[1:] if shelved else parts)


def _is_name(text: str) -> bool:
    """Whether a file can be named so, in its folder."""
    return Path(text).name == text != ".." and "\0" not in text and len(text.encode()) <= LONGEST_NAME


def _table(path: Path, problems: list[str]) -> list[tuple[str, int]]:
    """The lines `name number` of a file; what is wrong with it goes into `problems`."""
    rows: list[tuple[str, int]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
        fields = line.split()
        if len(fields) == 2 and _LABEL.fullmatch(fields[1]) and class_name(fields[0]):
            rows.append((fields[0], int(fields[1])))
        elif fields:
            problems.append(f"{path.name}, line {number} is not a name and a label: {line[:60]!r}")
    if not rows:
        problems.append(f"{path.name} names nothing")
    return rows


LAYOUT = Layout(
    "Places365's val_256/ with its two text files",
    photographs=True,
    find=lambda source, wanted: found_photographs(find_places(source, wanted)),
    rank=1,
)
