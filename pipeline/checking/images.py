"""The images that both sides are given: the first batches that a training would draw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from device_runtime.formats.dataset import load_dataset
from pipeline.checking.observed import Batch
from pipeline.graphs.sessions import open_session

LARGEST = 8
# Batch normalisation with a batch of one takes a variance of nothing.
SMALLEST = 2


def sizes_for(batch_size: int) -> tuple[int, int]:
    """Two sizes of batches: the recipe's as far as it is quickly computed, and another."""
    first = max(SMALLEST, min(batch_size, LARGEST))
    return first, first - 1 if first > SMALLEST else first + 1


def draw_batches(dataset: Path, sizes: Sequence[int], preprocess: Path) -> list[Batch]:
    """One batch of each size from the training images of a converted dataset, each image once where there are enough.

    Raises:
      FormatError: the dataset is damaged.
    """
    split = load_dataset(dataset).splits["train"]
    order = np.resize(np.random.default_rng(0).permutation(len(split)), sum(sizes))
    parts = np.split(order, np.cumsum(sizes)[:-1])
    return batches_of([split.batch(part) for part in parts], preprocess)


def batches_of(images: Sequence[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]], preprocess: Path) -> list[Batch]:
    """Pixels and labels with what the export's preprocessing makes of them."""
    session = open_session(preprocess)
    return [Batch(pixels, session.run(["image"], {"pixels": pixels})[0], label) for pixels, label in images]


def regrouped(batches: Sequence[Batch], shift: int) -> list[Batch]:
    """The same images in batches of the same sizes, each `shift` places further, the last ones first."""
    cuts = np.cumsum([len(batch.label) for batch in batches])[:-1]
    columns = zip(*((batch.pixels, batch.image, batch.label) for batch in batches), strict=True)
    moved = (np.split(np.roll(np.concatenate(column), shift, axis=0), cuts) for column in columns)
    return [Batch(*parts) for parts in zip(*moved, strict=True)]
