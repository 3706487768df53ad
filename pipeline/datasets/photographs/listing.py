"""What every layout of photographs comes down to: a list of files with their classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DatasetError, UsageError, brief

DEFAULT_CLASSES = 10


@dataclass(frozen=True)
class LabelledImage:
    """A file, its class, an index into the listing's classes, and its name within the class, with slashes."""

    path: Path
    label: int
    name: str


@dataclass(frozen=True)
class Listing:
    """The chosen classes and their images; `sources` are further files that decided it (tables of labels)."""

    classes: tuple[str, ...]
    images: tuple[LabelledImage, ...]
    sources: tuple[Path, ...] = ()

    def key(self, image: LabelledImage) -> str:
        """The image's name for ever, class/file: what decides its split."""
        return f"{self.classes[image.label]}/{image.name}"


def choose_classes(source: Path, available: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """The classes that were asked for, in that order, or the first ten of `available`.

    Raises:
      UsageError: a class is asked for that the dataset lacks, or twice.
      DatasetError: the dataset has fewer than two classes.
    """
    unknown = [name for name in wanted if name not in available]
    if unknown:
        raise UsageError(f"{source} has no class {', '.join(map(repr, unknown))}; it has {brief(available)}")
    if len(set(wanted)) < len(wanted):
        raise UsageError(f"a class is named twice in {', '.join(wanted)}: name each once")
    chosen = tuple(wanted) or tuple(available[:DEFAULT_CLASSES])
    if len(chosen) < 2:
        raise DatasetError(f"{source}: training needs at least two classes, here is only {', '.join(chosen) or 'none'}")
    return chosen
