"""Pictures in memory → BMP strips, one file for each split and class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from device_runtime.formats.bmp import write_bmp
from device_runtime.formats.dataset import Description, Strip, pictures
from pipeline.datasets.photographs.account import Account, Converted, imbalance_lines
from pipeline.datasets.photographs.names import file_name
from pipeline.datasets.photographs.preparation import RGB, grey_of
from pipeline.errors import DatasetError, brief

Pictures = tuple[npt.NDArray[np.uint8], npt.NDArray[np.integer]]


def write_pictures(
    folder: Path | None,
    name: str,
    classes: Sequence[str],
    numbers: Sequence[int],
    splits: Mapping[str, Pictures],
    told: Sequence[str] = (),
) -> Converted:
    """Writes a dataset of pictures that come as pixels of one size.

    Args:
      folder: an existing one; None: nothing is written.
      name: the dataset's.
      classes: names of those that are taken.
      numbers: their labels.
      splits: images, uint8 N×H×W×C, C 1 or 3 (RGB), and labels, N.
      told: what there is to say already.
    """
    strips = {split: write_strips(folder, split, classes, numbers, *pair) for split, pair in splits.items()}
    images, _ = next(iter(splits.values()))
    height, width, channels = images.shape[1:]
    description = pictures(name, height, width, channels, tuple(classes), strips)
    grey = grey_of(height, width)
    preparation = grey if channels == 1 else replace(grey, mode=RGB)
    return Converted(description, Account((*dict.fromkeys(told), *imbalance_lines(description))), preparation)


def refuse_empty(source: Path, description: Description) -> None:
    """Of splits that were given, for classes that may have been chosen.

    Raises:
      DatasetError: there is nothing to test with, or a class that nothing is trained on.
    """
    trained = {strip.label for strip in description.splits["train"]}
    tested = bool(description.splits["test"])
    if tested and trained.issuperset(strip.label for strip in description.splits["test"]):
        return
    lacking = [name for label, name in enumerate(description.classes) if label not in trained]
    what = f"no training image of {brief(lacking)}" if tested else "no test image of these classes"
    raise DatasetError(f"{source}: {what}: name other classes with --classes")


def write_strips(
    folder: Path | None,
    split: str,
    classes: Sequence[str],
    numbers: Sequence[int],
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.integer],
) -> tuple[Strip, ...]:
    """Writes the pictures of one split.

    Args:
      folder: an existing one; None: nothing is written.
      split: its name.
      classes: their names.
      numbers: their labels.
      images: uint8 N×H×W×C, C 1 or 3 (RGB).
      labels: N.
    """
    strips: list[Strip] = []
    for label, (name, number) in enumerate(zip(classes, numbers, strict=True)):
        chosen = images[labels == number]
        if not len(chosen):
            continue
        file = file_name(split, name, "images")
        if folder:
            (folder / file).parent.mkdir(parents=True)
            write_bmp(folder / file, chosen)
        strips.append(Strip(file, label, len(chosen)))
    return tuple(strips)
