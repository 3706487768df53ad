"""Reads a folder in which a dataset lies.
Writes nothing until it is converted.
Belongs here: another layout: a module with a `LAYOUT`, which is found by itself.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.datasets.photographs.listing import Listing
from pipeline.progress import OnProgress


@dataclass(frozen=True)
class Conversion:
    """How what was found becomes a dataset.

    Attributes:
      name: the dataset's name.
      seed: decides which photograph is in which split.
      workers: processes; None: one for each core.
      on_progress: takes images done and images in all.
      on_warning: takes a line for each broken image that is left out.
    """

    name: str
    seed: int
    workers: int | None
    on_progress: OnProgress
    on_warning: Callable[[str], None]


@dataclass(frozen=True)
class Found:
    """A dataset in a known layout.

    Attributes:
      inputs: every file that decides it, the missing ones too.
      write: writes BMP files and dataset.json into a folder.
      name: what the dataset is called; None: as its folder.
    """

    inputs: tuple[Path, ...]
    write: Callable[[Path, Conversion], None]
    name: str | None = None


@dataclass(frozen=True)
class Layout:
    """A way in which a dataset lies in a folder.

    Attributes:
      description: what is expected, in the words of an error.
      photographs: whether its images are colour photographs.
      find: takes the folder and the classes that were asked for, none for all; None where nothing looks like it.
      rank: of layouts that would take the same folder, the one of the lowest rank does.
    """

    description: str
    photographs: bool
    find: Callable[[Path, Sequence[str]], Found | None]
    rank: int = 0


def layouts() -> list[Layout]:
    """All of them, by the names of their modules."""
    return [importlib.import_module(f"{__name__}.{module.name}").LAYOUT for module in pkgutil.iter_modules(__path__)]


def described(chosen: Sequence[Layout]) -> str:
    """What some layouts expect, as an error lists them."""
    return ", or ".join(layout.description for layout in chosen)


def found_photographs(listing: Listing | None) -> Found | None:
    """A listing of photographs as what was found."""
    if listing is None:
        return None

    def write(folder: Path, conversion: Conversion) -> None:
        # Here, as Pillow is needed by photographs alone.
        from pipeline.datasets.photographs.image_set import convert_images

        convert_images(
            listing,
            conversion.name,
            conversion.seed,
            folder,
            conversion.workers,
            conversion.on_progress,
            conversion.on_warning,
        )

    return Found((*listing.sources, *(image.path for image in listing.images)), write)
