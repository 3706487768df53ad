"""Which column of a table is the target, which says the group and the split of a row, and which make the sample."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.datasets.columns.kinds import CATEGORY, categories_of, kind_of
from pipeline.datasets.photographs.split import SPLITS
from pipeline.errors import DatasetError, UsageError, brief, in_line, nearest

if TYPE_CHECKING:
    import pyarrow as pa

SPLIT = "split"

# In small letters.
_TARGETS = ("target", "label", "class", "y")

# Of rows that pandas numbered: in CSV without a name, read and saved again with one of its own, in Parquet.
_INDEX = re.compile(r"|Unnamed: \d+|__index_level_\d+__")


@dataclass(frozen=True)
class Roles:
    """The columns of a table by what they are for.

    Attributes:
      features: those of which the sample is made.
      told: lines about what was not said.
    """

    target: str
    group: str | None
    split: str | None
    features: tuple[str, ...]
    told: tuple[str, ...]


def roles_of(source: Path, names: Sequence[str], target: str | None, group: str | None) -> Roles:
    """What the columns are for.

    Args:
      source: the file.
      names: of its columns, in their order.
      target: the one that was asked for, or None: the last one that is called like a target, or the last.
      group: the one that was asked for, or None: every row stands alone.

    Raises:
      UsageError: a column is asked for that is not there, or one for two things.
      DatasetError: there is nothing beside the target.
    """
    for option, name in (("--target-column", target), ("--group-column", group)):
        if name is not None and name not in names:
            raise UsageError(f"{option} {name}: {source} has {brief(names)}{nearest(name, names)}")
    if target is not None and target == group:
        raise UsageError(f"--target-column and --group-column are both {target}: the target tells nothing of groups")
    split = next((name for name in names if name.lower() == SPLIT and name not in (target, group)), None)
    told: list[str] = []
    numbered = [name for name in names if _INDEX.fullmatch(name) and name not in (target, group)]
    if numbered:
        told.append(
            f"columns that number the rows were left out: {brief([name or 'one without a name' for name in numbered])}"
        )
    rest = [name for name in names if name not in (group, split, *numbered)]
    if target is None and rest:
        called = [name for name in rest if name.lower() in _TARGETS]
        target = (called or rest)[-1]
        why = "as its name says" if called else "the last column"
        told.append(f"the target is {target}, {why}: --target-column chooses another")
    features = tuple(name for name in rest if name != target)
    if target is None or not features:
        raise DatasetError(f"{source} has {brief(names)}: a table has columns beside its target")
    return Roles(target, group, split, features, tuple(told))


def splits_of(source: Path, column: pa.ChunkedArray) -> npt.NDArray[np.str_]:
    """The split of each row, N.

    Raises:
      DatasetError: a row says something else.
    """
    try:
        found = categories_of(column) if kind_of(column) == CATEGORY else None
    except ValueError:
        found = None
    if found is None:
        raise DatasetError(f"{source}: the column {SPLIT} says train, test or validation; call it otherwise")
    # The last is of rows that say nothing.
    known = np.array([*(SPLITS.get(name.lower(), "") for name in found.names), ""])
    splits = known[found.codes]
    wrong = np.flatnonzero(splits == "")
    if len(wrong):
        said = found.names[code] if (code := int(found.codes[wrong[0]])) >= 0 else ""
        raise DatasetError(
            f"{source}: {len(wrong):,} rows have a {SPLIT} other than train, test and validation, the first is row "
            f"{wrong[0] + 1}: '{in_line(said)[:60]}'"
        )
    return splits


def groups_of(source: Path, column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """A number for the group of each row, N; a row of no group has one of its own.

    Raises:
      DatasetError: it is nothing that can be equal.
    """
    import pyarrow as pa

    try:
        codes = pa.concat_arrays(column.chunks).dictionary_encode().indices
    except pa.ArrowException as error:
        raise DatasetError(f"{source}: the group is of type {column.type}: give numbers, texts or dates") from error
    found: npt.NDArray[np.int64] = codes.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return np.where(found < 0, -1 - np.arange(len(found)), found)
