"""Another dataset → labelled images as a finished run takes them: its classes by name, its size, its decoding."""

from __future__ import annotations

import shutil
import tempfile
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from device_runtime.formats.dataset import Strip
from pipeline.datasets.convert import find_in
from pipeline.datasets.layouts import Conversion, Found
from pipeline.datasets.photographs.account import left_out_line
from pipeline.datasets.photographs.listing import Listing
from pipeline.errors import DatasetError, brief
from pipeline.inference.images import decoded, strips_of
from pipeline.results.trained import TrainedModel

TEST = "test"


@dataclass(frozen=True)
class Labelled:
    """Strips of images with the run's labels, and a line for each thing that a user is to know."""

    strips: tuple[Strip, ...]
    told: tuple[str, ...]


def labelled_images(data: Path, model: TrainedModel, folder: Path) -> Labelled:
    """The images of a dataset that are of the run's classes; where it has a test split, those of that.

    Args:
      data: the dataset's folder, of any layout; all of its classes are looked at.
      model: the run's.
      folder: takes the strips.

    Raises:
      DatasetError: there is no dataset, none of its classes is the run's, or none of its images can be read.
      UsageError: the folder cannot be meant.
    """
    found = find_in(data, None)
    labels = _labels(found.classes, model.classes)
    unknown = [name for name, label in zip(found.classes, labels, strict=True) if label is None]
    if len(unknown) == len(labels):
        raise DatasetError(
            f"{data} has none of the run's classes: it has {brief(unknown, 10)}, the run {brief(model.classes, 10)}"
        )
    told = [f"classes that the run does not know, left out: {brief(unknown)}"] if unknown else []
    if found.listing is None:
        strips = _of_arrays(found, labels, model, folder)
    else:
        strips, unread = _of_pictures(found.listing, labels, model, folder)
        told += unread
    if not strips:
        raise DatasetError(f"{data} has no image of the run's classes that can be read: {'; '.join(told) or 'none'}")
    return Labelled(tuple(strips), (*found.told, *told))


def _labels(names: Sequence[str], known: Sequence[str]) -> list[int | None]:
    """The run's label of each class of the data, by name; None of one that the run does not know."""
    # One keyboard writes é as one character, another system's file names as two.
    labels = {unicodedata.normalize("NFC", name): label for label, name in enumerate(known)}
    labels |= {name: label for label, name in enumerate(known)}
    return [labels.get(name, labels.get(unicodedata.normalize("NFC", name))) for name in names]


def _of_pictures(
    listing: Listing, labels: Sequence[int | None], model: TrainedModel, folder: Path
) -> tuple[list[Strip], list[str]]:
    tested = any(image.split == TEST for image in listing.images)
    chosen = [
        (image, label)
        for image in listing.images
        if (label := labels[image.label]) is not None and (image.split == TEST or not tested)
    ]
    outcomes = decoded([image.path for image, _ in chosen], model.preparation, folder)
    good = [number for number, outcome in enumerate(outcomes) if not outcome.problem]
    unread = [
        ("cannot be read", f"{listing.within(image.path)} {outcome.problem}")
        for (image, _), outcome in zip(chosen, outcomes, strict=True)
        if outcome.problem
    ]
    strips = strips_of(folder, good, [chosen[number][1] for number in good])
    return strips, [left_out_line(unread)] if unread else []


def _of_arrays(found: Found, labels: Sequence[int | None], model: TrainedModel, folder: Path) -> list[Strip]:
    """Of images that come as pixels, which have one size: they are not resized as pictures are."""
    with tempfile.TemporaryDirectory(dir=folder) as work:
        converted = found.write(Path(work), Conversion("images", 1, (0, 0, 0), None, lambda done, total: None))
        description = converted.description
        shape = description.sample.shape
        if shape != model.preparation.shape:
            raise DatasetError(
                f"the images of {description.name} are {_size(shape)}, the run takes {_size(model.preparation.shape)} "
                "(height×width×channels): give pictures in a folder for each class, which are brought to that"
            )
        strips: list[Strip] = []
        for strip in description.splits[TEST]:
            label = labels[strip.label]
            if label is not None:
                strips.append(replace(strip, file=f"strip-{len(strips)}.bmp", label=label))
                shutil.move(Path(work) / strip.file, folder / strips[-1].file)
    return strips


def _size(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))
