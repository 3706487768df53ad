"""Pictures of any form → what a trained model is asked about on its target: strips of pixels, and dataset.json."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from device_runtime.formats.answers import SPLIT
from device_runtime.formats.bmp import BmpFile, write_bmp
from device_runtime.formats.dataset import Strip, pictures, write_description
from pipeline.datasets.photographs.decoding import Job, Outcome, decode
from pipeline.datasets.photographs.preparation import Preparation
from pipeline.progress import counted
from pipeline.results.trained import TrainedModel

# A file for each picture would be a call of the device for each.
STRIP = 64


def decoded(files: Sequence[Path], preparation: Preparation, folder: Path) -> list[Outcome]:
    """Decodes pictures as the conversion of the run's own data did, into numbered files; some may be none.

    Raises:
      DatasetError: a process died.
    """
    jobs = [Job(file, _numbered(folder, index), preparation) for index, file in enumerate(files)]
    with counted("read pictures") as on_progress:
        return decode(jobs, None, on_progress)


def strips_of(folder: Path, numbers: Sequence[int], labels: Sequence[int]) -> list[Strip]:
    """Puts decoded pictures that are of one class and follow one another into strips.

    Args:
      folder: where they are, and the strips will be.
      numbers: those that are taken, in their order.
      labels: theirs.
    """
    strips: list[Strip] = []
    first = 0
    while first < len(numbers):
        end = first + 1
        while end < len(numbers) and labels[end] == labels[first] and end - first < STRIP:
            end += 1
        strip = Strip(f"strip-{len(strips)}.bmp", labels[first], end - first)
        _write_strip(folder / strip.file, [_numbered(folder, number) for number in numbers[first:end]])
        strips.append(strip)
        first = end
    return strips


def describe(folder: Path, model: TrainedModel, strips: Sequence[Strip]) -> None:
    """Writes dataset.json: strips of the model's pixels, labelled with its classes."""
    shape = model.preparation.shape
    write_description(folder, pictures(SPLIT, *shape, model.classes, {SPLIT: tuple(strips)}))


def _write_strip(final: Path, parts: Sequence[Path]) -> None:
    files = [BmpFile(part) for part in parts]
    write_bmp(final, np.stack([file.read(0, file.shape[0])[..., ::-1] for file in files]))
    for part in parts:
        part.unlink()


def _numbered(folder: Path, index: int) -> Path:
    return folder / f"picture-{index}.bmp"
