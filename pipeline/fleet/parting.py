"""One dataset → a dataset for each device, `<into>/<i>/`: its own images, and the classes of all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from device_runtime.formats.bmp import write_bmp
from device_runtime.formats.dataset import Dataset, Split, Strip, load_dataset, read_description, write_description
from pipeline.datasets.photographs.account import Account, write_account
from pipeline.datasets.photographs.preparation import read_preparation, write_preparation
from pipeline.files import explain_os_error, new_folder
from pipeline.fleet.options.parting import Parting
from pipeline.fleet.shares import TEST, TRAIN, VERSION, Whole, owners_of
from pipeline.stages import STAMP, build_once, key_of


def part(dataset: Path, parts: int, how: Parting, seed: int, into: Path, least: int = 1) -> list[Path]:
    """Parts a dataset: every image is in one part, and every part has images to train and to test on.

    Test images of a class go where its training images went, in the same proportions. Parts that are there stay while
    nothing changed.

    Args:
      dataset: a folder that the convert stage wrote, on the file system of `into`.
      parts: how many.
      how: the training images are parted.
      seed: not negative; draws all that is drawn.
      into: takes the parts, `0` and so on, and loses those that an earlier parting into more left there.
      least: training images of a part.

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
    """How many images of each class a dataset has to train and to test on.

    Raises:
      FormatError: dataset.json is missing or damaged.
    """
    description = read_description(dataset)
    counts = {split: [0] * len(description.classes) for split in (TRAIN, TEST)}
    for split, of_split in counts.items():
        for strip in description.splits.get(split, ()):
            of_split[strip.label] += strip.count
    return tuple(counts[TRAIN]), tuple(counts[TEST])


def _write(dataset: Path, whole: Dataset, own: Mapping[str, Whole], folder: Path) -> None:
    """Writes a part: of each split the images at these places, in their order."""
    with new_folder(folder) as temporary:
        splits = {
            name: _write_split(dataset, split, whole.description.splits[name], own[name], temporary)
            for name, split in whole.splits.items()
        }
        # As where nothing was converted to validate with: the test images do.
        there = {name: strips for name, strips in splits.items() if strips}
        write_description(temporary, replace(whole.description, splits=there))
        # What the conversion left out is none of a part's images.
        write_account(temporary, Account())
        write_preparation(temporary, read_preparation(dataset))


def _write_split(dataset: Path, split: Split, strips: tuple[Strip, ...], own: Whole, folder: Path) -> tuple[Strip, ...]:
    """Writes the images' part of each of the dataset's strips, under its name; one at a time is in memory."""
    if not len(own):
        return ()
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
