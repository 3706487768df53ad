"""Training sounds that are a little different in each epoch: earlier or later, and with noise behind them.

As the training of TensorFlow's Speech Commands does it, in numbers too. What happens to a sound follows from seed,
epoch and the sound's index alone, as it does of pictures.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from device_runtime.augmentation import drawing_for
from device_runtime.evaluation import Images
from device_runtime.formats.array import ArrayFile
from device_runtime.formats.errors import FormatError

NO_NOISE = "--augment noise: it has none, which a folder _background_noise_ beside those of the classes would hold"

# Of a sound, how far it may begin earlier or later: 100 ms of a second.
SHIFT = 1 / 10

# How many sounds get noise, and how much of the noise at most.
NOISY = 0.8
LOUDEST = 0.1


@dataclass(frozen=True)
class SoundChange:
    """What happens to one sound: it begins `later` by so many samples, then noise is added.

    Attributes:
      later: negative where it begins earlier; where nothing is left is silence.
      noise: which of the noises.
      turn: the noise begins with its sample of that number, and goes on at its beginning.
      level: by which the noise is multiplied; 0 for none.
    """

    later: int
    noise: int
    turn: int
    level: float


class AugmentedSound:
    """A split's sounds as they are in one epoch: `shift` moves them, `noise` adds some."""

    def __init__(
        self, sounds: Images, kinds: Collection[str], seed: int, epoch: int, noise: ArrayFile | None = None
    ) -> None:
        """Takes the sounds, int16 N×length, and the noise, of the same length.

        Raises:
          FormatError: noise is asked for, and there is none.
        """
        if "noise" in kinds and noise is None:
            raise FormatError(NO_NOISE)
        self._sounds = sounds
        self._shifts = "shift" in kinds
        self._noise = noise if "noise" in kinds else None
        self._seed = seed
        self._epoch = epoch
        self.labels = sounds.labels

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int16], npt.NDArray[Any]]:
        """The sounds at `indices`, changed: int16 N×length, and their targets."""
        sounds, labels = self._sounds.batch(indices)
        changes = [self.change(index, sounds.shape[1]) for index in indices.tolist()]
        mixed = np.stack([moved(sound, change.later) for sound, change in zip(sounds, changes, strict=True)])
        if self._noise is not None:
            noises = self._noise.rows(np.array([change.noise for change in changes], np.int64))
            for sound, noise, change in zip(mixed, noises, changes, strict=True):
                sound[:] = with_noise(sound, np.roll(noise, -change.turn), change.level)
        return mixed, labels

    def change(self, index: int, length: int) -> SoundChange:
        """What happens to the sound at `index` in this epoch."""
        random = drawing_for(index, self._seed, self._epoch)
        most = int(length * SHIFT)
        # Always drawn, so that shifts stay what they are when noise is added.
        later = int(random.integers(-most, most + 1))
        level = float(random.uniform(0, LOUDEST)) * bool(random.random() < NOISY)
        noises = 1 if self._noise is None else self._noise.shape[0]
        return SoundChange(later * self._shifts, int(random.integers(noises)), int(random.integers(length)), level)


def moved(sound: npt.NDArray[np.int16], later: int) -> npt.NDArray[np.int16]:
    """One sound that begins `later` by so many samples."""
    shifted = np.zeros_like(sound)
    if later > 0:
        shifted[later:] = sound[:-later]
    else:
        shifted[: len(sound) + later] = sound[-later:]
    return shifted


def with_noise(sound: npt.NDArray[np.int16], noise: npt.NDArray[np.int16], level: float) -> npt.NDArray[np.int16]:
    """Their sum, the noise times `level`; what is too loud is cut."""
    mixed = np.rint(sound + np.float32(level) * noise)
    return np.clip(mixed, -(2**15), 2**15 - 1).astype(np.int16)
