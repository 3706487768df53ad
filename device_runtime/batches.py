"""The order in which images are trained on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


class Batches:
    """A seeded shuffle per epoch, cut into batches; what an epoch leaves over is left out of that epoch.

    The batch of a step follows from seed, epoch and step alone, so a training that goes on from a checkpoint sees what
    an uninterrupted one would have seen.
    """

    def __init__(self, images: int, batch_size: int, seed: int) -> None:
        self._images = images
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = -1
        self._order: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self.steps_per_epoch = images // batch_size

    def indices(self, step: int) -> npt.NDArray[np.int64]:
        """Indices of the images of update `step` (from 1): int64, batch_size."""
        epoch, position = self.epoch(step), (step - 1) % self.steps_per_epoch
        if epoch != self._epoch:
            self._order = np.random.default_rng([self._seed, epoch]).permutation(self._images)
            self._epoch = epoch
        return self._order[position * self._batch_size : (position + 1) * self._batch_size]

    def epoch(self, step: int) -> int:
        """The epoch of update `step`, from 0."""
        return (step - 1) // self.steps_per_epoch
