"""A recording as anybody made it → whole seconds of one channel, 16 bits at 16 kHz.

No more of a file is read than the seconds that are asked for, whatever its header says.
"""

from __future__ import annotations

import importlib
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.errors import DatasetError

RATE = 16000
# Samples of a second, of which there is one in each row of a dataset.
SECOND = RATE

# The names of files that are taken for recordings; what they hold is told by their content.
SUFFIXES = frozenset((".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff"))

# Of headers that can be meant: telephones have 8 kHz, studios 384; a concert has 32 channels.
_RATES = range(1000, 384001)
_MOST_CHANNELS = 32

# Beyond the end, in seconds: what a resampler's filter reads.
_MARGIN = 0.05

_FULL_SCALE = 2**15


class BrokenRecordingError(Exception):
    """Of a file nothing can be made; the message says why, as it stands behind the file's name."""


@dataclass(frozen=True)
class Recording:
    """What was read of a file.

    Attributes:
      seconds: int16, N×16000, N at least 1; behind the end of a file is silence.
      is_longer: whether there is more in the file.
      is_as_it_was: whether it had one channel, 16 bits and 16 kHz.
    """

    seconds: npt.NDArray[np.int16]
    is_longer: bool
    is_as_it_was: bool


def require(source: Path) -> None:
    """Raises DatasetError where what reads recordings is not installed; `source` is what is to be read."""
    try:
        for name in ("soundfile", "soxr"):
            importlib.import_module(name)
    # Without its library, which Debian keeps apart, soundfile raises OSError.
    except (ImportError, OSError) as error:
        raise DatasetError(
            f"{source} holds recordings, which are read with soundfile and soxr: `pip install soundfile soxr`"
        ) from error


def read_recording(path: Path, most_seconds: int = 1) -> Recording:
    """The first seconds of a file: whole ones, and at least one.

    Raises:
      BrokenRecordingError: it is no recording, or has no sample that is a number.
      OSError: it cannot be opened.
    """
    import soundfile

    # libsndfile says of a file that may not be read that it is of an unknown format.
    path.open("rb").close()
    try:
        # As bytes: names that are no UTF-8 have no other form that it takes.
        with soundfile.SoundFile(os.fsencode(path)) as file:
            rate, channels, in_all = file.samplerate, file.channels, file.frames
            is_as_it_was = (rate, channels, file.subtype) == (RATE, 1, "PCM_16")
            _check_header(rate, channels)
            sound = file.read(math.ceil((most_seconds + _MARGIN) * rate), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
        reason = getattr(error, "error_string", None) or str(error)
        raise BrokenRecordingError(f"cannot be read ({' '.join(reason.split()).rstrip('.')})") from error
    if not len(sound):
        raise BrokenRecordingError("has no sample")
    if not np.isfinite(sound).all():
        raise BrokenRecordingError("holds NaN or infinite numbers")
    return Recording(_seconds(_at_rate(sound, rate), most_seconds), in_all > most_seconds * rate, is_as_it_was)


def _check_header(rate: int, channels: int) -> None:
    if rate not in _RATES:
        raise BrokenRecordingError(f"says that it has {rate:,} samples a second")
    if channels > _MOST_CHANNELS:
        raise BrokenRecordingError(f"says that it has {channels:,} channels")


def _at_rate(sound: npt.NDArray[np.float32], rate: int) -> npt.NDArray[np.float32]:
    """Frames × channels as their mean, at 16 kHz."""
    import soxr

    mono: npt.NDArray[np.float32] = sound[:, 0] if sound.shape[1] == 1 else sound.mean(axis=1)
    if rate == RATE:
        return mono
    resampled: npt.NDArray[np.float32] = soxr.resample(mono, rate, RATE)
    return resampled


def _seconds(sound: npt.NDArray[np.float32], most: int) -> npt.NDArray[np.int16]:
    """Whole seconds; of a sound that is shorter one, with silence behind it."""
    count = min(most, max(1, len(sound) // SECOND))
    sound = sound[: count * SECOND]
    whole = np.zeros(count * SECOND, np.int16)
    whole[: len(sound)] = np.clip(np.rint(sound * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1)
    return whole.reshape(count, SECOND)
