"""The images that both sides are given: the first batches that a training would draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from device_runtime.formats.dataset import load_dataset
from pipeline.checking.observed import Batch
from pipeline.graphs.files import TRAINING, is_joint
from pipeline.graphs.reading import shapes_of
from pipeline.graphs.sessions import open_session
from pipeline.graphs.stored import load_light

LARGEST = 8
# Batch normalisation with a batch of one takes a variance of nothing.
SMALLEST = 2
# For all values that training computes for a batch, of which some are there at once.
ROOM_BYTES = 2 * 2**30


def sizes_for(batch_size: int, export: Path) -> tuple[int, int]:
    """Two sizes of batches: the recipe's as far as it is quickly computed in little memory, and another."""
    most = min(LARGEST, ROOM_BYTES // max(1, _bytes_of_one(export)))
    first = max(SMALLEST, min(batch_size, most))
    return first, first - 1 if first > SMALLEST else first + 1


def _bytes_of_one(export: Path) -> int:
    """Of the values of float32 that torch's training graph computes for one image; 0 where torch made none."""
    if not is_joint(export):
        return 0
    model = load_light(export / TRAINING)
    shapes = shapes_of(model)
    made = {name for node in model.graph.node for name in node.output}
    grown = [shape for name, shape in shapes.items() if name in made and any(isinstance(size, str) for size in shape)]
    return sum(4 * math.prod(size for size in shape if isinstance(size, int)) for shape in grown)


def draw_batches(dataset: Path, sizes: Sequence[int], preprocess: Path) -> list[Batch]:
    """One batch of each size from the training images of a converted dataset, each image once where there are enough.

    Raises:
      FormatError: the dataset is damaged.
    """
    split = load_dataset(dataset).splits["train"]
    order = np.resize(np.random.default_rng(0).permutation(len(split)), sum(sizes))
    parts = np.split(order, np.cumsum(sizes)[:-1])
    return batches_of([split.batch(part) for part in parts], preprocess)


def batches_of(images: Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]], preprocess: Path) -> list[Batch]:
    """Samples and targets with what the export's preprocessing makes of them."""
    session = open_session(preprocess)
    return [Batch(pixels, session.run(["image"], {"pixels": pixels})[0], label) for pixels, label in images]


def regrouped(batches: Sequence[Batch], shift: int) -> list[Batch]:
    """The same images in batches of the same sizes, each `shift` places further, the last ones first."""
    cuts = np.cumsum([len(batch.label) for batch in batches])[:-1]
    columns = zip(*((batch.pixels, batch.image, batch.label) for batch in batches), strict=True)
    moved = (np.split(np.roll(np.concatenate(column), shift, axis=0), cuts) for column in columns)
    return [Batch(*parts) for parts in zip(*moved, strict=True)]
