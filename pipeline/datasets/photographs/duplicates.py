"""Files of the same content, which must not be trained on and tested with."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from pipeline.datasets.photographs.listing import LabelledImage, Listing
from pipeline.errors import brief

# Groups that a line names.
_SHOWN = 5


def worth_comparing(paths: Sequence[Path]) -> list[bool]:
    """Which files have the size of another: only those can be the same."""
    sizes = [path.stat().st_size if path.is_file() else -1 for path in paths]
    counts = Counter(sizes)
    return [counts[size] > 1 for size in sizes]


def groups_of(digests: Sequence[str]) -> list[list[int]]:
    """Indices of files of one content, where there are several; a file without digest is alone."""
    found: dict[str, list[int]] = defaultdict(list)
    for index, digest in enumerate(digests):
        if digest:
            found[digest].append(index)
    return [group for group in found.values() if len(group) > 1]


def told_of(listing: Listing, images: Sequence[LabelledImage], groups: Sequence[Sequence[int]]) -> list[str]:
    """A line of the files that are there several times, and one of those that are so in two classes."""
    same = [group for group in groups if len({images[index].label for index in group}) == 1]
    contradictory = [group for group in groups if len({images[index].label for index in group}) > 1]
    lines = []
    if same:
        lines.append(f"copies of one another, kept in one split: {_counted(same)}: {_named(listing, images, same)}")
    if contradictory:
        lines.append(
            f"copies of one another in two classes, of which one is wrong: {_counted(contradictory)}: "
            f"{_named(listing, images, contradictory)}"
        )
    return lines


def _counted(groups: Sequence[Sequence[int]]) -> str:
    return f"{sum(map(len, groups))} images"


def _named(listing: Listing, images: Sequence[LabelledImage], groups: Sequence[Sequence[int]]) -> str:
    return brief([" = ".join(listing.within(images[index].path) for index in group[:4]) for group in groups], _SHOWN)
