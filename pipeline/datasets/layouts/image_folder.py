"""Image folders, `<class>/*.jpg|png|bmp|webp|gif` → a listing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pipeline.datasets.layouts import Layout, found_photographs
from pipeline.datasets.photographs.listing import LabelledImage, Listing, choose_classes

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif"})


def find_images(source: Path, wanted: Sequence[str] = ()) -> Listing | None:
    """The images of the chosen classes in the order of their names; None where no folder in `source` holds an image.

    A class is a folder in `source` that holds images; those in folders within it are its images too. A folder with
    nothing but folders is no class: neither `train/` and `val/` nor the shelves `a/`, `b/` of Places' training data.

    Raises:
      UsageError: a class is asked for that is not there.
      DatasetError: there are fewer than two classes.
    """
    folders = sorted(path for path in source.iterdir() if path.is_dir() and not path.name.startswith("."))
    images = {folder.name: found for folder in folders if (found := _images(folder))}
    if not images:
        return None
    classes = choose_classes(source, list(images), wanted)
    return Listing(
        classes,
        tuple(
            LabelledImage(path, label, path.relative_to(source / name).as_posix())
            for label, name in enumerate(classes)
            for path in images[name]
        ),
    )


def _images(folder: Path) -> list[Path]:
    """The images of a class and of all folders within it, sorted; none where `folder` itself holds none."""
    found: list[Path] = []
    for place, folders, files in os.walk(folder, onerror=_stop):
        # A leading dot is a hidden file, or what macOS leaves beside each file of a foreign disk.
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = (Path(place, name) for name in files if not name.startswith("."))
        found += [path for path in paths if path.suffix.lower() in SUFFIXES and path.is_file()]
        if not found:
            return []
    return sorted(found)


def _stop(error: OSError) -> None:
    """os.walk would pass over a folder that cannot be read."""
    raise error


LAYOUT = Layout(
    "a folder of images (.jpg, .png, .bmp, .webp, .gif) for each class",
    photographs=True,
    find=lambda source, wanted: found_photographs(find_images(source, wanted)),
    # Any folder with images is such a one.
    rank=2,
)
