"""What is odd about images that are all right one by one."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence

from device_runtime.formats.dataset import Description
from pipeline.datasets.photographs.account import imbalance_lines
from pipeline.datasets.photographs.decoding import Outcome
from pipeline.datasets.photographs.listing import LabelledImage, Listing
from pipeline.datasets.photographs.photograph import Colour
from pipeline.errors import brief

# What differs more in width or height from the usual is of another kind: a thumbnail, a scan of a page.
_FACTOR = 10

# Bits that cameras and scanners give.
_DEPTHS = (8, 10, 12, 14, 16)

_SHOWN = 5


def depth_of(outcomes: Sequence[Outcome]) -> int:
    """Bits of the grey images of 16: the fewest that hold all numbers of all of them; 16 where there are none."""
    peaks = [outcome.peak for outcome in outcomes if outcome.peak is not None]
    # All black is no evidence.
    return next(bits for bits in _DEPTHS if max(peaks) < 2**bits) if any(peaks) else 16


def told_of_pixels(
    listing: Listing, images: Sequence[LabelledImage], outcomes: Sequence[Outcome], depth: int, background: Colour
) -> list[str]:
    """A line each for transparent images, for those of fewer bits than their files, and for those of another size."""
    lines = []
    transparent = sum(outcome.transparent for outcome in outcomes)
    if transparent:
        colour = "white" if background == (255, 255, 255) else f"#{bytes(background).hex()}"
        lines.append(f"transparent images, put on {colour}: {transparent:,}; --background chooses another colour")
    deep = sum(outcome.peak is not None for outcome in outcomes)
    if depth < 16:
        lines.append(
            f"grey images of 16 bits, none with a number above {2**depth - 1}, taken as {depth} bits: {deep:,}"
        )
    odd = [
        f"{listing.within(images[index].path)} ({outcomes[index].width}×{outcomes[index].height})"
        for index in _odd_sizes(outcomes)
    ]
    if odd:
        width, height = (round(side) for side in _usual_size(outcomes))
        lines.append(
            f"images more than {_FACTOR} times as large or small as {width}×{height}: {len(odd)}: {brief(odd, _SHOWN)}"
        )
    return lines


def told_of_classes(description: Description) -> list[str]:
    """A line for classes that some split lacks, and one where there are many more images of one than of another."""
    names = description.classes
    lines = []
    for split in ("test", "validation"):
        there = Counter(strip.label for strip in description.splits.get(split, ()))
        lacking = [name for label, name in enumerate(names) if not there[label]]
        if lacking:
            lines.append(f"classes without an image for {split}: {brief(lacking)}")
    return lines + imbalance_lines(description)


def _usual_size(outcomes: Sequence[Outcome]) -> tuple[float, float]:
    return statistics.median(o.width for o in outcomes), statistics.median(o.height for o in outcomes)


def _odd_sizes(outcomes: Sequence[Outcome]) -> list[int]:
    width, height = _usual_size(outcomes)
    return [
        index for index, outcome in enumerate(outcomes) if _far(outcome.width, width) or _far(outcome.height, height)
    ]


def _far(side: int, usual: float) -> bool:
    return side >= _FACTOR * usual or usual >= _FACTOR * side
