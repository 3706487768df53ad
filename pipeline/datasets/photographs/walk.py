"""All images within a folder, by links too, and what else lies there.

As torchvision's ImageFolder goes through a class (`os.walk` with `followlinks`), but each folder once.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# The names of files that are taken for images; what they hold is told by their content, whatever their suffix says.
SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff"),
        *(".avif", ".avifs", ".heic", ".heics", ".heif", ".hif", ".jp2", ".j2k", ".jpx"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".tga"),
    )
)

NO_IMAGES = "files that are no images"
BROKEN_LINKS = "broken links"
LOOPS = "links that lead back to a folder above"
REPEATED = "links to what is there already"
FOLDERS = "empty folders named like images"
SPECIAL = "things that are neither files nor folders"

# What systems leave behind, in lower case; with a leading dot they hide, as macOS' `._x` beside each `x` does.
_LITTER = frozenset(
    (
        *("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@eadir", "$recycle.bin", "lost+found"),
        "system volume information",
    )
)


@dataclass
class Walked:
    """What is in a folder: images, and other things with the reason; in the order of the walk."""

    images: list[Path] = field(default_factory=list)
    others: list[tuple[Path, str]] = field(default_factory=list)


def is_hidden(name: str) -> bool:
    """Whether nobody means this file or folder."""
    return name.startswith(".") or name.lower() in _LITTER


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, links to folders too, that somebody means; sorted."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name))


def files_in(folder: Path) -> list[Path]:
    """Everything else in it that somebody means; sorted."""
    return sorted(path for path in folder.iterdir() if not path.is_dir() and not is_hidden(path.name))


def walk(folder: Path, suffixes: Collection[str] = SUFFIXES, others: str = NO_IMAGES) -> Walked:
    """Goes through a folder and all within it.

    Args:
      folder: where to begin.
      suffixes: of the files that are looked for, those of images or others.
      others: what a file with another suffix is.

    Raises:
      OSError: a folder cannot be read.
    """
    found = Walked()
    seen = {os.path.realpath(folder)}
    for place, folders, files in os.walk(folder, onerror=_stop, followlinks=True):
        folders[:] = list(_to_enter(Path(place), sorted(folders), seen, found))
        if not folders and not files and Path(place) != folder and is_image_name(Path(place)):
            found.others.append((Path(place), FOLDERS))
        for path in sorted(Path(place, name) for name in files if not is_hidden(name)):
            reason = kind_of(path, suffixes, others)
            if reason:
                found.others.append((path, reason))
            else:
                found.images.append(path)
    return found


def is_image_name(path: Path) -> bool:
    """Whether the suffix is that of an image."""
    return path.suffix.lower() in SUFFIXES


def kind_of(path: Path, suffixes: Collection[str] = SUFFIXES, others: str = NO_IMAGES) -> str:
    """What a thing that is no folder is, if it is not what is looked for, images or others; of that nothing."""
    if not path.exists():
        return BROKEN_LINKS
    if not path.is_file():
        return SPECIAL
    return "" if path.suffix.lower() in suffixes else others


def only_wraps(folders: Mapping[str, Path], walked: Mapping[str, Walked]) -> bool:
    """Whether the classes are in the only folder: of a single class nothing could be learnt."""
    tops = set(folders.values())
    return len(folders) == 1 and any(image.parent not in tops for found in walked.values() for image in found.images)


def _to_enter(place: Path, names: list[str], seen: set[str], found: Walked) -> Iterator[str]:
    for name in names:
        path = place / name
        if is_hidden(name):
            continue
        real = os.path.realpath(path)
        if path.is_symlink() and Path(real) in Path(os.path.realpath(place), "x").parents:
            found.others.append((path, LOOPS))
        elif real in seen:
            found.others.append((path, REPEATED))
        else:
            seen.add(real)
            yield name


def _stop(error: OSError) -> None:
    """os.walk would pass over a folder that cannot be read."""
    raise error
