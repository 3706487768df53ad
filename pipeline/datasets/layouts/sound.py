"""Recordings, a folder of them for each class, as Speech Commands has them → seconds of sound as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.datasets.layouts import Conversion, Found, Layout
from pipeline.datasets.photographs.account import Converted
from pipeline.datasets.recordings.listing import find_sounds


def _find(source: Path, wanted: Sequence[str] | None) -> Found | None:
    sounds = find_sounds(source, wanted)
    if sounds is None:
        return None
    listing = sounds.listing

    def write(folder: Path | None, conversion: Conversion) -> Converted:
        # Here, as what writes arrays takes longer to load than a folder to look through.
        from pipeline.datasets.recordings.writing import convert_sounds

        return convert_sounds(sounds, conversion.name, conversion.seed, folder, conversion.on_progress)

    others = (thing.path for thing in listing.left_out)
    inputs = (*listing.sources, *(image.path for image in listing.images), *others, *sounds.background)
    return Found(inputs, write, listing.classes)


LAYOUT = Layout(
    "a folder of recordings (.wav, .flac, .ogg, .mp3) for each class",
    photographs=False,
    find=_find,
    # A folder with images, too, is one of images.
    rank=3,
)
