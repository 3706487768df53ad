"""Reads a folder in which a dataset lies.
Writes nothing until it is converted.
Belongs here: another layout: a module with a `LAYOUT`, which is found by itself.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.datasets.photographs.account import Converted
from pipeline.datasets.photographs.listing import Listing
from pipeline.datasets.photographs.walk import files_in, folders_in, is_image_name
from pipeline.errors import DatasetError, in_line
from pipeline.progress import OnProgress
from pipeline.recipe import CategoriesForm


@dataclass(frozen=True)
class Conversion:
    """How what was found becomes a dataset.

    Attributes:
      name: the dataset's name.
      seed: decides which photograph is in which split.
      background: RGB; what is transparent shows it.
      workers: processes; None: one for each core.
      on_progress: takes images done and images in all.
      target_column: of a table, the column that is to be learnt; None: as its name says, or the last.
      group_column: of a table, rows of one value in it are in one split; None: each row stands alone.
      categories: of a table, what its columns of texts become; as the recipe's.
    """

    name: str
    seed: int
    background: tuple[int, int, int]
    workers: int | None
    on_progress: OnProgress
    target_column: str | None = None
    group_column: str | None = None
    categories: CategoriesForm = "one_hot"


@dataclass(frozen=True)
class Found:
    """A dataset in a known layout.

    Attributes:
      inputs: every file that decides it, the missing ones too.
      write: writes BMP files into a folder, or only looks at everything where there is none.
      classes: their names.
      name: what the dataset is called; None: as its folder.
      listing: of photographs, which they are.
      told: lines about where it lay.
      has_columns: whether it is a table, of which one can choose.
    """

    inputs: tuple[Path, ...]
    write: Callable[[Path | None, Conversion], Converted]
    classes: tuple[str, ...]
    name: str | None = None
    listing: Listing | None = None
    told: tuple[str, ...] = ()
    has_columns: bool = False


@dataclass(frozen=True)
class Layout:
    """A way in which a dataset lies in a folder.

    Attributes:
      description: what is expected, in the words of an error.
      photographs: whether its images are colour photographs.
      find: takes the folder and the classes that were asked for, none for all, None for all even where that is one or
        very many; None where nothing looks like it.
      rank: of layouts that would take the same folder, the one of the lowest rank does.
      files: how files are called, in small letters, that are such a dataset by themselves.
    """

    description: str
    photographs: bool
    find: Callable[[Path, Sequence[str] | None], Found | None]
    rank: int = 0
    files: tuple[str, ...] = ()


def layouts() -> list[Layout]:
    """All of them, by the names of their modules."""
    return [importlib.import_module(f"{__name__}.{module.name}").LAYOUT for module in pkgutil.iter_modules(__path__)]


def described(chosen: Sequence[Layout]) -> str:
    """What some layouts expect, as an error lists them."""
    return ", or ".join(layout.description for layout in chosen)


def find(source: Path, wanted: Sequence[str] | None = ()) -> Found:
    """The dataset in a file, in a folder, or in the only folder within it, however deep.

    Raises:
      UsageError: a class is asked for that the dataset lacks.
      DatasetError: there is none, or a part of it is missing.
      OSError: a folder cannot be read.
    """
    known = layouts()
    if not source.is_dir():
        return _find_file(source, known, wanted)
    folder: Path | None = source
    been: set[str] = set()
    # A link may lead round.
    while folder and os.path.realpath(folder) not in been:
        been.add(os.path.realpath(folder))
        for layout in sorted(known, key=lambda layout: layout.rank):
            found = layout.find(folder, wanted)
            if found:
                deeper = f"everything lies in {in_line(str(folder.relative_to(source)))}/ there"
                return found if folder == source else replace(found, told=(deeper, *found.told))
        folder = _only_folder(folder)
    loose = sum(is_image_name(path) for path in files_in(source))
    seen = f": {loose} images lie in it, but not in a folder for each class" if loose else ""
    endings = tuple(ending for layout in known for ending in layout.files)
    files = [path.name for path in files_in(source) if path.name.lower().endswith(endings)]
    if files:
        raise DatasetError(
            f"{source} is a folder, and a dataset of this kind is one file: give --data {source / files[0]}"
        )
    raise DatasetError(f"{source} holds no dataset{seen}: expected {described(known)}")


def _find_file(source: Path, known: Sequence[Layout], wanted: Sequence[str] | None) -> Found:
    endings = [ending for layout in known for ending in layout.files]
    of_file = [layout for layout in known if source.name.lower().endswith(layout.files)]
    found = of_file[0].find(source, wanted) if of_file else None
    if found is None:
        raise DatasetError(f"{source} is no folder and no file that is a dataset, which end with {', '.join(endings)}")
    return found


def _only_folder(folder: Path) -> Path | None:
    """The folder in which all images must lie."""
    inside = folders_in(folder)
    loose = any(is_image_name(path) for path in files_in(folder))
    return inside[0] if len(inside) == 1 and not loose else None


def found_photographs(listing: Listing | None) -> Found | None:
    """A listing of photographs as what was found."""
    if listing is None:
        return None

    def write(folder: Path | None, conversion: Conversion) -> Converted:
        # Here, as Pillow is needed by photographs alone.
        from pipeline.datasets.photographs.image_set import convert_images

        return convert_images(
            listing,
            conversion.name,
            conversion.seed,
            folder,
            conversion.workers,
            conversion.background,
            conversion.on_progress,
        )

    others = (thing.path for thing in listing.left_out)
    inputs = (*listing.sources, *(image.path for image in listing.images), *others)
    return Found(inputs, write, listing.classes, listing=listing)
