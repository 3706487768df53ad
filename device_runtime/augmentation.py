"""Training images that look a little different in each epoch: mirrored, or shifted.

What happens to an image follows from seed, epoch and the image's index alone: it is the same in a training that goes on
from a checkpoint, and whatever batch the image is in.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from device_runtime.evaluation import Images

# Of height and width, how far a crop may be shifted each way.
SHIFT = 1 / 8


@dataclass(frozen=True)
class Change:
    """What happens to one image: mirrored left to right or not, then shifted by whole pixels down and to the right."""

    flip: bool
    down: int
    right: int


class Augmented:
    """A split's images as they are in one epoch.

    `flip` mirrors an image left to right with probability 1/2. `crop` pads an image by an eighth of its height above
    and below and of its width left and right (rounded down), with what it mirrors at its border (numpy's mode
    `reflect`), and cuts an image of the old size from a place drawn uniformly.
    """

    def __init__(self, images: Images, kinds: Collection[str], seed: int, epoch: int) -> None:
        self._images = images
        self._kinds = kinds
        self._seed = seed
        self._epoch = epoch
        self.labels = images.labels

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]:
        """The images at `indices`, changed: uint8 N×H×W×C, contiguous, and their labels, int64 N."""
        pixels, labels = self._images.batch(indices)
        height, width = pixels.shape[1:3]
        changes = [self.change(index, height, width) for index in indices.tolist()]
        return np.stack([changed(image, change) for image, change in zip(pixels, changes, strict=True)]), labels

    def change(self, index: int, height: int, width: int) -> Change:
        """What happens to the image at `index` in this epoch."""
        random = drawing_for(index, self._seed, self._epoch)
        # Always drawn, so that flips stay what they are when crops are added.
        flip = bool(random.integers(2))
        most_down, most_right = int(height * SHIFT), int(width * SHIFT)
        down = int(random.integers(-most_down, most_down + 1))
        right = int(random.integers(-most_right, most_right + 1))
        crop = "crop" in self._kinds
        return Change("flip" in self._kinds and flip, down * crop, right * crop)


def drawing_for(index: int, seed: int, epoch: int) -> np.random.Generator:
    """What draws the changes of the sample at `index` in an epoch."""
    # The order of an epoch's samples is drawn from seed and epoch, and a third number of 0 would draw the same.
    return np.random.default_rng([seed, epoch, index + 1])


def changed(image: npt.NDArray[np.uint8], change: Change) -> npt.NDArray[np.uint8]:
    """One image, uint8 H×W×C, after a change."""
    if change.flip:
        image = image[:, ::-1]
    if not (change.down or change.right):
        return image
    height, width, _ = image.shape
    rows = _mirrored(np.arange(height) - change.down, height)
    columns = _mirrored(np.arange(width) - change.right, width)
    return image[rows[:, None], columns]


def _mirrored(positions: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """Positions beyond the border, as seen in a mirror that stands on the outermost pixel."""
    positions = np.abs(positions)
    return np.where(positions >= size, 2 * (size - 1) - positions, positions)
