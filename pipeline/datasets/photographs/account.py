"""What a user is told of his folder: how many images there are, what was left out and why, what is odd."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from device_runtime.formats.dataset import Description
from device_runtime.formats.records import parse_object, typed
from pipeline.datasets.photographs.preparation import Preparation
from pipeline.errors import brief, in_line
from pipeline.files import read_converted
from pipeline.tables.columns import columns

FILE_NAME = "account.json"

# Of what a folder holds, so much may be damaged and is left out.
MAX_BROKEN = 0.01

# Beyond that, a model that always says the largest class looks good.
_IMBALANCE = 10

_SHOWN = 3

# Characters of a name in the table.
_WIDEST = 40


@dataclass(frozen=True)
class Account:
    """What became of everything in a folder.

    Attributes:
      told: a line for each thing that is odd; of what was left out, one line.
      left_out: how many things of a class were left out, by its name.
    """

    told: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Converted:
    """A dataset, what there is to say about it, and how its pictures became what they are."""

    description: Description
    account: Account
    preparation: Preparation | None


def write_account(folder: Path, account: Account) -> None:
    """Writes account.json beside dataset.json: a dataset that is not converted again says the same."""
    (folder / FILE_NAME).write_text(json.dumps(asdict(account), indent=1) + "\n")


def read_account(folder: Path) -> Account:
    """Reads account.json.

    Raises:
      FormatError: it is missing or damaged.
    """
    account: Account = read_converted(folder / FILE_NAME, lambda text: typed(Account, parse_object(text)))
    return account


def found_line(description: Description) -> str:
    """Images, classes and splits in one line; of arrays what they are and what is to be said of them."""
    counts = description.counts
    splits = ", ".join(f"{split} {count:,}" for split, count in counts.items())
    what = f"images of {len(description.classes)} classes"
    if description.arrays:
        what = f"samples of {description.sample.text}, {description.target.text}"
    return f"found {sum(counts.values()):,} {what}: {splits}"


def left_out_line(things: Sequence[tuple[str, str]]) -> str:
    """Pairs of a reason, as it stands before a number, and a name → one line with counts and the first names."""
    reasons = Counter(reason for reason, _ in things)
    return "left out: " + "; ".join(
        f"{reason} {count} ({brief([name for other, name in things if other == reason], _SHOWN)})"
        for reason, count in reasons.items()
    )


def imbalance_lines(description: Description) -> list[str]:
    """A line where the largest class has more than ten times the images of the smallest."""
    counts = Counter(dict.fromkeys(range(len(description.classes)), 0))
    for strip in (strip for strips in description.splits.values() for strip in strips):
        counts[strip.label] += strip.count
    (largest, most), (smallest, least) = counts.most_common()[0], counts.most_common()[-1]
    if most <= _IMBALANCE * least:
        return []
    names = [in_line(description.classes[label]) for label in (largest, smallest)]
    return [
        f"{names[0]} has {most:,} images, {names[1]} {least:,}, more than {_IMBALANCE} to 1: "
        "add images of the small classes, or look at them apart"
    ]


def table_of(description: Description, account: Account) -> list[list[str]]:
    """A row for each class, a heading first: its images in each split, and what was left out of it."""
    if description.arrays:
        return [["samples", *description.arrays], [description.name, *map(str, description.arrays.values())]]
    counts = Counter[tuple[str, int]]()
    for split, strips in description.splits.items():
        for strip in strips:
            counts[split, strip.label] += strip.count
    rows = [["class", *description.splits, "left out"]]
    for label, name in enumerate(description.classes):
        numbers = [counts[split, label] for split in description.splits]
        rows.append([name, *map(str, numbers), str(account.left_out.get(name, 0))])
    return rows


def lines_of(description: Description, account: Account, table: bool) -> list[str]:
    """All that is said of a dataset: what was found, what is odd about it, and, if asked for, a table by class."""
    rows = table_lines(table_of(description, account)) if table else []
    return [found_line(description), *(f"warning: {line}" for line in account.told), *rows]


def _short(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def table_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """The table as text: names to the left, numbers to the right."""
    shown = [[_short(in_line(cell)) for cell in row] for row in rows]
    return columns(shown, numbers=range(1, len(shown[0])))
