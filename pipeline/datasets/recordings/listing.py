"""A folder of recordings for each class → a listing, as Speech Commands has them.

`validation_list.txt` and `testing_list.txt` say which are not trained on, `_background_noise_` holds no class.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.datasets.columns.text import decoded
from pipeline.datasets.photographs.listing import LeftOut, Listing, listing_of
from pipeline.datasets.photographs.walk import Walked, files_in, folders_in, kind_of, only_wraps, walk
from pipeline.datasets.recordings.reading import SUFFIXES
from pipeline.errors import DatasetError, brief, in_line, readable

BACKGROUND = "_background_noise_"

LISTS = {"validation_list.txt": "validation", "testing_list.txt": "test"}

NO_RECORDINGS = "files that are no recordings"
OUTSIDE = "recordings outside of every class's folder"

_SHOWN = 3


@dataclass(frozen=True)
class Sounds:
    """What is in a folder: the classes' recordings, and those of noise, of no class."""

    listing: Listing
    background: tuple[Path, ...]


def find_sounds(source: Path, wanted: Sequence[str] | None) -> Sounds | None:
    """The recordings of the chosen classes in the order of their names; None where no folder in `source` holds one.

    Raises:
      UsageError: a class is asked for that is not there.
      DatasetError: there are fewer than two classes, or the lists contradict each other.
    """
    folders = {folder.name: folder for folder in folders_in(source) if folder.name != BACKGROUND}
    walked = {name: _recordings_in(folder) for name, folder in folders.items()}
    if not any(found.images for found in walked.values()) or only_wraps(folders, walked):
        return None
    listing = listing_of(source, folders, walked, wanted)
    told: list[str] = []
    listed = _listed(source, walked, told)
    outside = [LeftOut(path, OUTSIDE) for path in files_in(source) if not kind_of(path, SUFFIXES)]
    noise = _recordings_in(source / BACKGROUND) if (source / BACKGROUND).is_dir() else Walked()
    listing = replace(
        listing,
        images=tuple(replace(image, split=listed.get(image.path, "")) for image in listing.images),
        sources=tuple(source / name for name in LISTS),
        left_out=(*listing.left_out, *outside),
        told=tuple(told),
    )
    return Sounds(listing, tuple(sorted(noise.images)))


def _recordings_in(folder: Path) -> Walked:
    return walk(folder, SUFFIXES, NO_RECORDINGS)


def _listed(source: Path, walked: Mapping[str, Walked], told: list[str]) -> dict[Path, str]:
    """The split of each recording that a list names; names of what is not there are told, but for other classes'."""
    there = {readable(path.relative_to(source).as_posix()): path for found in walked.values() for path in found.images}
    classes = {readable(name) for name in walked}
    splits: dict[Path, str] = {}
    for name, split in LISTS.items():
        if not (source / name).is_file():
            continue
        lines = [line.strip() for line in decoded((source / name).read_bytes()).splitlines()]
        named = {line: posixpath.normpath(line.replace("\\", "/")) for line in lines if line}
        twice = [line for line, file in named.items() if splits.get(there.get(file, source), split) != split]
        if twice:
            raise DatasetError(f"{source}: {' and '.join(LISTS)} both name {brief(_shown(twice), _SHOWN)}: leave one")
        splits |= {there[file]: split for file in named.values() if file in there}
        # Of classes that are not here the whole lists name many; a list of nothing that is here is of something else.
        is_ours = any(file in there for file in named.values())
        lacking = [
            line
            for line, file in named.items()
            if file not in there and (not is_ours or file.split("/")[0] in classes or "/" not in file)
        ]
        if lacking:
            told.append(f"{name} names {len(lacking):,} files that are not there: {brief(_shown(lacking), _SHOWN)}")
    return splits


def _shown(lines: Sequence[str]) -> list[str]:
    return [in_line(line)[:60] for line in lines]
