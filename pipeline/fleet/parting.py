"""One dataset → a dataset for each device, `<into>/<i>/`: its own samples, and the classes of all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from device_runtime.formats.bmp import write_bmp
from device_runtime.formats.dataset import (
    NOISE,
    SAMPLES,
    TARGETS,
    Dataset,
    Split,
    Strip,
    load_dataset,
    write_description,
)
from pipeline.datasets.columns.encoding import FILE_NAME as COLUMNS
from pipeline.datasets.photographs.account import Account, write_account
from pipeline.datasets.photographs.preparation import FILE_NAME as PREPARATION
from pipeline.files import explain_os_error, new_folder
from pipeline.fleet.options.parting import Parting
from pipeline.fleet.shares import TEST, TRAIN, VERSION, Whole, owners_of
from pipeline.stages import STAMP, build_once, key_of

# Of an array, rows that are copied at once.
_ROWS = 4096


def part(dataset: Path, parts: int, how: Parting, seed: int, into: Path, least: int = 1) -> list[Path]:
    """Parts a dataset: every sample is in one part, and every part has samples to train and to test on.

    Test samples of a class go where its training samples went, in the same proportions. Parts that are there stay while
    nothing changed.

    Args:
      dataset: a folder that the convert stage wrote, of one class each, on the file system of `into`.
      parts: how many.
      how: the training samples are parted.
      seed: not negative; draws all that is drawn.
      into: takes the parts, `0` and so on, and loses those that an earlier parting into more left there.
      least: training samples of a part.

    Returns:
      The folders of the parts.

    Raises:
      DatasetError: it cannot be parted so.
      FormatError: the dataset is damaged.
      PipelineError: a part cannot be written.
    """
    key = key_of(VERSION, (dataset / STAMP).read_text(), parts, how, seed, least)

    @cache
    def drawn() -> tuple[Dataset, dict[str, Whole]]:
        whole = load_dataset(dataset)
        labels = {name: split.labels for name, split in whole.splits.items()}
        return whole, owners_of(labels, whole.classes, parts, how, seed, least)

    def write(number: int) -> None:
        whole, owners = drawn()
        own = {name: np.flatnonzero(of_split == number) for name, of_split in owners.items()}
        _write(dataset, whole, own, into / str(number))

    folders = [into / str(number) for number in range(parts)]
    for number, folder in enumerate(folders):
        build_once(folder, key_of(key, number), partial(write, number))
    with explain_os_error(into):
        for old in set(into.iterdir()) - set(folders):
            if old.name.isdecimal():
                shutil.rmtree(old)
    return folders


def histogram(dataset: Path) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """How many samples of each class a dataset has to train and to test on.

    Raises:
      FormatError: dataset.json is missing or damaged, or an array is.
    """
    whole = load_dataset(dataset)

    def of(split: str) -> tuple[int, ...]:
        labels = whole.splits[split].labels if split in whole.splits else np.empty(0, np.int64)
        return tuple(np.bincount(labels, minlength=len(whole.classes)).tolist())

    return of(TRAIN), of(TEST)


def _write(dataset: Path, whole: Dataset, own: Mapping[str, Whole], folder: Path) -> None:
    """Writes a part: of each split the samples at these places, in their order."""
    # As where nothing was converted to validate with: the test samples do.
    there = {name: places for name, places in own.items() if len(places)}
    with new_folder(folder) as temporary:
        if whole.description.arrays:
            for name, places in there.items():
                _write_arrays(whole.splits[name], places, temporary / name)
            description = replace(whole.description, arrays={name: len(places) for name, places in there.items()})
        else:
            strips = {
                name: _write_strips(dataset, whole.splits[name], whole.description.splits[name], places, temporary)
                for name, places in there.items()
            }
            description = replace(whole.description, splits=strips)
        write_description(temporary, description)
        # What the conversion left out is none of a part's samples.
        write_account(temporary, Account())
        for name in (PREPARATION, COLUMNS, NOISE):
            if (dataset / name).exists():
                os.link(dataset / name, temporary / name)


def _write_arrays(split: Split, places: Whole, folder: Path) -> None:
    """Writes a split's part of the arrays; some rows at a time are in memory."""
    folder.mkdir()
    first, _ = split.batch(places[:1])
    samples = np.lib.format.open_memmap(
        folder / SAMPLES, mode="w+", dtype=first.dtype, shape=(len(places), *first.shape[1:])
    )
    for start in range(0, len(places), _ROWS):
        rows = slice(start, start + _ROWS)
        samples[rows] = split.batch(places[rows])[0]
    samples.flush()
    np.save(folder / TARGETS, split.labels[places])


def _write_strips(
    dataset: Path, split: Split, strips: tuple[Strip, ...], own: Whole, folder: Path
) -> tuple[Strip, ...]:
    """Writes the images' part of each of the dataset's strips, under its name; one at a time is in memory."""
    ends = np.cumsum([strip.count for strip in strips])
    found = []
    for places in np.split(own, np.flatnonzero(np.diff(np.searchsorted(ends, own, side="right"))) + 1):
        strip = strips[int(np.searchsorted(ends, places[0], side="right"))]
        file = folder / strip.file
        file.parent.mkdir(parents=True, exist_ok=True)
        if len(places) == strip.count:
            os.link(dataset / strip.file, file)
        else:
            write_bmp(file, split.batch(places)[0])
        found.append(replace(strip, count=len(places)))
    return tuple(found)
