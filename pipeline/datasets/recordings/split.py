"""Which recording is trained on, which is tested with: what one person said is on one side.

Speech Commands' files are called `<speaker>_nohash_<number>.wav`. Speakers are laid out as photographs of one class
are, whatever they said; recordings by other names stand alone, in their classes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from pipeline.datasets.photographs.listing import LabelledImage, Listing
from pipeline.datasets.photographs.split import Item, split_images

_SPEAKER = re.compile("(.+)_nohash_[0-9]+")

# Of speakers, who are of no class.
_NO_CLASS = -1


def split_recordings(listing: Listing, seed: int) -> list[str]:
    """The split of each recording; where a list names one of a speaker, all of the speaker are there.

    Args:
      listing: the recordings.
      seed: another seed is another split.
    """
    units: dict[str, list[int]] = {}
    for index, image in enumerate(listing.images):
        units.setdefault(speaker_of(image) or listing.key(image), []).append(index)
    items = [_item(key, [listing.images[index] for index in members]) for key, members in units.items()]
    splits = [""] * len(listing.images)
    for members, split in zip(units.values(), split_images(items, (), seed), strict=True):
        for index in members:
            splits[index] = split
    return splits


def speaker_of(image: LabelledImage) -> str | None:
    """Who speaks, if the file's name says it."""
    found = _SPEAKER.fullmatch(PurePosixPath(image.name).stem)
    return found[1] if found else None


def _item(key: str, recordings: Sequence[LabelledImage]) -> Item:
    given = {recording.split for recording in recordings}
    split = next((split for split in ("test", "validation") if split in given), "")
    return Item(key, recordings[0].label if speaker_of(recordings[0]) is None else _NO_CLASS, split)
