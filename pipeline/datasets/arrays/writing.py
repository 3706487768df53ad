"""Tables of samples and targets → a dataset on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from device_runtime.formats.dataset import SAMPLES, TARGETS, Description
from pipeline.datasets.arrays.reading import Array
from pipeline.datasets.arrays.samples import (
    Meaning,
    Table,
    doubt_line,
    meaning_of,
    prepared_samples,
    sample_of,
    target_array,
    untrained_line,
)
from pipeline.datasets.arrays.strips import write_pictures
from pipeline.datasets.photographs.account import Account, Converted
from pipeline.datasets.photographs.split import SHARES, Item, split_images
from pipeline.errors import DatasetError


def write_tables(
    tables: Mapping[str, Table],
    kind: str | None,
    ignore: int | None,
    names: Sequence[str],
    name: str,
    seed: int,
    folder: Path | None,
    told: Sequence[str] = (),
) -> Converted:
    """Writes a dataset into `folder`; without one, everything is looked at all the same.

    Args:
      tables: by split; what lacks comes out of train, as of photographs.
      kind: of the targets, or None; see `meaning_of`.
      ignore: the number of a position without a class, or None.
      names: of the classes, labels or values, or none.
      name: the dataset's.
      seed: of the split.
      folder: an existing one, or None.
      told: what there is to say already.

    Raises:
      DatasetError: samples or targets cannot be trained on.
    """
    lines = list(told)
    prepared = {
        split: replace(table, x=prepared_samples(table.x, f"x of {split}", lines)) for split, table in tables.items()
    }
    _check(prepared)
    meaning = meaning_of(prepared, kind, ignore, names)
    if kind is None:
        lines += doubt_line(prepared, meaning)
    return write_splits(completed(prepared, meaning, seed), meaning, name, folder, lines)


def write_splits(
    splits: Mapping[str, Table], meaning: Meaning, name: str, folder: Path | None, lines: Sequence[str]
) -> Converted:
    """Writes splits that are whole: samples as `prepared_samples` gives them, targets of which the meaning is known.

    Args:
      splits: train and test, and perhaps validation.
      meaning: of their targets.
      name: the dataset's.
      folder: an existing one, or None.
      lines: what there is to say.
    """
    lines = [*lines, *untrained_line(splits["train"], meaning)]
    if meaning.target.is_one_class and (shaped := _as_pictures(splits)):
        pairs = {split: (x, target_array(splits[split].y, meaning)) for split, x in shaped.items()}
        return write_pictures(folder, name, meaning.names, range(len(meaning.names)), pairs, lines)
    for split, table in splits.items():
        if folder:
            (folder / split).mkdir()
            np.save(folder / split / SAMPLES, table.x)
            np.save(folder / split / TARGETS, target_array(table.y, meaning))
    counts = {split: len(table.x) for split, table in splits.items()}
    first = next(iter(splits.values())).x
    description = Description(name, sample_of(first), meaning.target, meaning.names, {}, counts)
    return Converted(description, Account(tuple(dict.fromkeys(lines))), None)


def _check(tables: Mapping[str, Table]) -> None:
    for split, table in tables.items():
        lengths = {"y": len(table.y)} | ({} if table.group is None else {"group": len(np.atleast_1d(table.group))})
        wrong = [f"{length:,} in {name}" for name, length in lengths.items() if length != len(table.x)]
        if wrong:
            raise DatasetError(f"{split} has {len(table.x):,} samples in x, {' and '.join(wrong)}: give one for each")
    kinds = {sample_of(table.x).text for table in tables.values()}
    if len(kinds) > 1:
        raise DatasetError(f"the samples of the splits differ: {'; '.join(sorted(kinds))}")


def completed(tables: Mapping[str, Table], meaning: Meaning, seed: int) -> dict[str, Table]:
    """Tables with the splits that lack, taken from train; samples of a group are on one side.

    Raises:
      DatasetError: there are too few samples.
    """
    if "train" not in tables:
        raise DatasetError(f"there are samples of {' and '.join(tables)}, and none to train on: name them x_train")
    # Of values no class says which samples are alike.
    of_class = meaning.target.is_one_class
    parts = list(tables.items())
    ys = [target_array(table.y, meaning) for _, table in parts]
    labels = [y if of_class else np.zeros(len(y), np.int64) for y in ys]
    given = [split for split, table in parts for _ in table.y]
    keys = [f"{split}/{number}" for split, table in parts for number in range(len(table.y))]
    items = [
        Item(key, int(label), split) for key, label, split in zip(keys, np.concatenate(labels), given, strict=True)
    ]
    chosen = np.array(split_images(items, _groups([table for _, table in parts]), seed))
    x, y = np.concatenate([table.x for _, table in parts]), np.concatenate(ys)
    splits = {split: Table(x[chosen == split], y[chosen == split]) for split in SHARES if (chosen == split).any()}
    lacking = [split for split in ("train", "test") if split not in splits]
    if lacking:
        raise DatasetError(f"{len(x):,} samples leave none for {' and '.join(lacking)}: give more, or smaller groups")
    return splits


def _groups(tables: Sequence[Table]) -> list[list[int]]:
    """Places of samples that stay together, over all splits."""
    found: dict[object, list[int]] = {}
    place = 0
    for table in tables:
        if table.group is not None:
            for number, row in enumerate(table.group.reshape(len(table.x), -1), place):
                found.setdefault(row.tobytes(), []).append(number)
        place += len(table.x)
    return [group for group in found.values() if len(group) > 1]


def _as_pictures(splits: Mapping[str, Table]) -> dict[str, Array] | None:
    """uint8 N×H×W×C of splits that are pictures, grey ones without an axis of colours too; None of others."""
    shaped = {
        split: table.x[..., None] if table.x.dtype == np.uint8 and table.x.ndim == 3 else table.x
        for split, table in splits.items()
    }
    return shaped if all(sample_of(x).is_picture for x in shaped.values()) else None
