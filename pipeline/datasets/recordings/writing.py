"""A listing of recordings → arrays, a second in each row, and the seconds of noise that augmentation mixes in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from device_runtime.formats.dataset import NOISE
from device_runtime.formats.sample import one_class
from pipeline.datasets.arrays.reading import Array
from pipeline.datasets.arrays.samples import Meaning, Table
from pipeline.datasets.arrays.writing import write_splits
from pipeline.datasets.photographs.account import MAX_BROKEN, Converted, left_out_line
from pipeline.datasets.photographs.listing import Listing
from pipeline.datasets.photographs.split import SHARES
from pipeline.datasets.recordings.listing import Sounds
from pipeline.datasets.recordings.reading import (
    SECOND,
    BrokenRecordingError,
    read_recording,
    require,
)
from pipeline.datasets.recordings.split import split_recordings
from pipeline.errors import DatasetError, brief, in_line
from pipeline.progress import OnProgress

# Of one recording of noise; Speech Commands' have a minute or two.
_MOST_NOISE = 120

_SCRATCH = ".seconds"


@dataclass
class _Outcome:
    """What became of the recordings: the indices of those that were read, in the order of the rows, and lines."""

    good: list[int] = field(default_factory=list)
    broken: dict[int, str] = field(default_factory=dict)
    longer: int = 0
    changed: int = 0


def convert_sounds(sounds: Sounds, name: str, seed: int, folder: Path | None, on_progress: OnProgress) -> Converted:
    """Writes a dataset into `folder`; without one, everything is read all the same.

    Args:
      sounds: the recordings and those of noise.
      name: the dataset's.
      seed: of the split.
      folder: an existing one, or None.
      on_progress: takes recordings done and recordings in all.

    Raises:
      DatasetError: what reads recordings is not installed, a class has no usable recording to train on, more than 1%
        of the recordings are damaged, or there is nothing to test with.
    """
    listing = sounds.listing
    require(listing.source)
    splits = split_recordings(listing, seed)
    # Those of a split one after another, as they are written.
    order = sorted(range(len(splits)), key=lambda index: list(SHARES).index(splits[index]))
    rows, outcome = _read_all(listing, order, folder, on_progress)
    _check(listing, outcome, splits)
    told = [*listing.told, *_lines(listing, outcome)]
    _write_noise(sounds, folder, told)
    labels = np.array([listing.images[index].label for index in outcome.good])
    counts = Counter(splits[index] for index in outcome.good)
    tables: dict[str, Table] = {}
    first = 0
    for split in SHARES:
        if counts[split]:
            last = first + counts[split]
            tables[split] = Table(rows[first:last], labels[first:last])
            first = last
    meaning = Meaning(one_class(len(listing.classes)), listing.classes)
    converted = write_splits(tables, meaning, name, folder, told)
    if folder:
        (folder / _SCRATCH).unlink()
    return converted


def _read_all(
    listing: Listing, order: Sequence[int], folder: Path | None, on_progress: OnProgress
) -> tuple[Array, _Outcome]:
    """Every usable recording, int16 N×16000: in a file, as memory may not hold them, or all 0 where none is written."""
    outcome = _Outcome()
    rows: Array = np.broadcast_to(np.int16(0), (len(order), SECOND))
    if folder:
        rows = np.memmap(folder / _SCRATCH, np.int16, "w+", shape=(len(order), SECOND))
    for done, index in enumerate(order, 1):
        try:
            recording = read_recording(listing.images[index].path)
        except BrokenRecordingError as error:
            outcome.broken[index] = str(error)
        except OSError as error:
            outcome.broken[index] = f"cannot be opened ({error.strerror})"
        else:
            if folder:
                rows[len(outcome.good)] = recording.seconds[0]
            outcome.good.append(index)
            outcome.longer += recording.is_longer
            outcome.changed += not recording.is_as_it_was
        on_progress(done, len(order))
    return rows, outcome


def _check(listing: Listing, outcome: _Outcome, splits: Sequence[str]) -> None:
    broken = [f"{listing.within(listing.images[index].path)} {why}" for index, why in sorted(outcome.broken.items())]
    if len(broken) > MAX_BROKEN * len(listing.images):
        raise DatasetError(
            f"{listing.source}: {len(broken)} of {len(listing.images)} recordings are broken, more than "
            f"{MAX_BROKEN:.0%}: {brief(broken, 50, '; ')}. Replace or remove them"
        )
    trained = {listing.images[index].label for index in outcome.good if splits[index] == "train"}
    lacking = [in_line(name) for label, name in enumerate(listing.classes) if label not in trained]
    if lacking:
        raise DatasetError(
            f"{listing.source}: no usable recording to train on of {brief(lacking)}: add some, or name the other "
            "classes with --classes"
        )
    if all(splits[index] != "test" for index in outcome.good):
        raise DatasetError(
            f"{listing.source}: {len(outcome.good):,} recordings leave none to test with: add some, of other speakers"
        )


def _lines(listing: Listing, outcome: _Outcome) -> list[str]:
    things = [(thing.reason, listing.within(thing.path)) for thing in listing.left_out]
    for index, why in sorted(outcome.broken.items()):
        things.append(("damaged", f"{listing.within(listing.images[index].path)} {why}"))
    lines = [left_out_line(things)] if things else []
    if outcome.changed:
        lines.append(f"{outcome.changed:,} recordings are one channel of 16 bits at 16 kHz now, which they were not")
    if outcome.longer:
        lines.append(f"{outcome.longer:,} recordings are longer than a second: the first one is taken")
    return lines


def _write_noise(sounds: Sounds, folder: Path | None, told: list[str]) -> None:
    """Writes noise.npy, int16 N×16000, if there is noise."""
    seconds: list[Array] = []
    things: list[tuple[str, str]] = []
    for path in sounds.background:
        try:
            seconds.append(read_recording(path, _MOST_NOISE).seconds)
        except BrokenRecordingError as error:
            things.append(("noise", f"{sounds.listing.within(path)} {error}"))
        except OSError as error:
            things.append(("noise", f"{sounds.listing.within(path)} cannot be opened ({error.strerror})"))
    if things:
        told.append(left_out_line(things))
    if folder and seconds:
        np.save(folder / NOISE, np.concatenate(seconds))
