"""What every layout of photographs comes down to: a list of files with their classes, and what is none."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.datasets.photographs.names import readable_classes
from pipeline.datasets.photographs.walk import Walked
from pipeline.errors import DatasetError, UsageError, brief, in_line


@dataclass(frozen=True)
class LabelledImage:
    """A file and what it is to be.

    Attributes:
      path: of the file.
      label: its class, an index into the listing's classes.
      name: within the class, with slashes.
      split: train, test or validation where the folder says it, else nothing.
    """

    path: Path
    label: int
    name: str
    split: str = ""


@dataclass(frozen=True)
class LeftOut:
    """A file or folder that becomes no image of the dataset.

    Attributes:
      path: where it is, or should be.
      reason: what it is, as it stands before a count: "broken links 3".
      label: the class to which it would belong; None: to none.
    """

    path: Path
    reason: str
    label: int | None = None


@dataclass(frozen=True)
class Listing:
    """The chosen classes and their images.

    Attributes:
      source: the dataset's folder.
      classes: their names as people read them.
      images: of these classes.
      sources: further files that decided it (tables of labels).
      left_out: what lies in the folder and is no image of these classes, though nobody left out its class.
      folders: the classes as the file system names them; none: as `classes`.
      told: lines about what is odd.
    """

    source: Path
    classes: tuple[str, ...]
    images: tuple[LabelledImage, ...]
    sources: tuple[Path, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    folders: tuple[str, ...] = ()
    told: tuple[str, ...] = ()

    def folder(self, label: int) -> str:
        """A class's name of any bytes, which stays the same however it is shown."""
        return (self.folders or self.classes)[label]

    def key(self, image: LabelledImage) -> str:
        """The image's name for ever, class/file: what decides its split."""
        return f"{self.folder(image.label)}/{image.name}"

    def within(self, path: Path) -> str:
        """A path as a line names it: from the dataset's folder on."""
        return in_line(str(path.relative_to(self.source) if path.is_relative_to(self.source) else path))


def listing_of(
    source: Path, folders: Mapping[str, Path], walked: Mapping[str, Walked], wanted: Sequence[str] | None
) -> Listing:
    """What is in the folders of the chosen classes, in the order of their names.

    Args:
      source: the dataset's folder.
      folders: of all classes, by their names.
      walked: what is in them.
      wanted: the classes that were asked for, as `choose_classes` takes them.

    Raises:
      UsageError, DatasetError: as `choose_classes`.
    """
    names = in_order(walked)
    shown = readable_classes(names)
    classes = choose_classes(source, shown, wanted)
    chosen = [names[shown.index(name)] for name in classes]
    return Listing(
        source,
        classes,
        tuple(
            LabelledImage(path, label, path.relative_to(folders[name]).as_posix())
            for label, name in enumerate(chosen)
            for path in sorted(walked[name].images)
        ),
        left_out=tuple(
            LeftOut(path, reason, label) for label, name in enumerate(chosen) for path, reason in walked[name].others
        ),
        folders=tuple(chosen),
    )


def in_order(names: Iterable[str]) -> list[str]:
    """Names of classes sorted, numbers as numbers where all are whole ones."""
    chosen = sorted(names)
    return sorted(chosen, key=int) if all(re.fullmatch(r"-?[0-9]{1,99}", name) for name in chosen) else chosen


def choose_classes(
    source: Path, available: Sequence[str], wanted: Sequence[str] | None, default: int | None = None
) -> tuple[str, ...]:
    """The classes that were asked for, in that order, or else the first `default` of `available`, or all.

    Where `wanted` is None nothing is to be trained: then it is all that there are, and be it one.

    Raises:
      UsageError: a class is asked for that the dataset lacks, or twice.
      DatasetError: the dataset has fewer than two classes.
    """
    if wanted is None:
        return tuple(available)
    # One keyboard writes é as one character, another system's file names as two.
    known = {unicodedata.normalize("NFC", name): name for name in available} | {name: name for name in available}
    found = [known.get(name, known.get(unicodedata.normalize("NFC", name))) for name in wanted]
    unknown = [repr(name) for name, there in zip(wanted, found, strict=True) if there is None]
    if unknown:
        raise UsageError(f"{source} has no class {', '.join(unknown)}; it has {brief(available)}")
    if len(set(found)) < len(found):
        raise UsageError(f"a class is named twice in {', '.join(wanted)}: name each once")
    chosen = tuple(name for name in found if name is not None) or tuple(available[:default])
    if len(chosen) < 2:
        raise DatasetError(f"{source}: training needs at least two classes, here is only {brief(chosen) or 'none'}")
    return chosen
