"""Image folders, `<class>/*.jpg|png|bmp|webp` → a listing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.datasets.listing import LabelledImage, Listing, choose_classes

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif"})


def find_images(source: Path, wanted: Sequence[str] = ()) -> Listing | None:
    """The images of the chosen classes in the order of their names; None where no folder in `source` holds an image.

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
        classes, tuple(LabelledImage(path, label) for label, name in enumerate(classes) for path in images[name])
    )


def _images(folder: Path) -> list[Path]:
    # A leading dot is a hidden file, or what macOS leaves beside each file of a foreign disk.
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
