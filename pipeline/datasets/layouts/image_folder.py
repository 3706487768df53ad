"""Image folders, `<class>/…` → a listing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.datasets.layouts import Layout, found_photographs
from pipeline.datasets.photographs.listing import LeftOut, Listing, listing_of
from pipeline.datasets.photographs.walk import Walked, files_in, folders_in, kind_of, only_wraps, walk
from pipeline.errors import DatasetError, brief

OUTSIDE = "images outside of every class's folder"


def find_images(source: Path, wanted: Sequence[str] | None = ()) -> Listing | None:
    """The images of the chosen classes in the order of their names; None where no folder in `source` holds an image.

    A class is a folder in `source`; what lies in folders within it is of the class too. A single folder that holds
    folders with images is none: the classes are in there.

    Raises:
      UsageError: a class is asked for that is not there.
      DatasetError: there are fewer than two classes, or the folders are the shelves of Places' training data.
    """
    folders = {folder.name: folder for folder in folders_in(source)}
    walked = {name: walk(folder) for name, folder in folders.items()}
    if not any(found.images for found in walked.values()) or only_wraps(folders, walked):
        return None
    _refuse_shelves(source, folders, walked)
    listing = listing_of(source, folders, walked, wanted)
    return replace(listing, left_out=(*listing.left_out, *beside_classes(source)))


def beside_classes(folder: Path) -> list[LeftOut]:
    """The files that lie beside the folders of classes."""
    return [LeftOut(path, kind_of(path) or OUTSIDE) for path in files_in(folder)]


def _refuse_shelves(source: Path, folders: Mapping[str, Path], walked: Mapping[str, Walked]) -> None:
    """Places' training data stands in `a/abbey`, `b/bus_station/indoor`: letters are no classes."""
    inside = {
        name: {image.relative_to(folders[name]).parts for image in found.images} for name, found in walked.items()
    }
    shelved = all(
        len(name) == 1 and all(len(parts) > 1 and parts[0].startswith(name) for parts in found)
        for name, found in inside.items()
    )
    if shelved:
        raise DatasetError(
            f"{source} holds no dataset: {brief(sorted(folders), 3)} are shelves for classes of that letter: "
            "move the folders in them into one"
        )


LAYOUT = Layout(
    "a folder of images (.jpg, .png, .bmp, .webp, .gif, .tif, .avif, .heic) for each class",
    photographs=True,
    find=lambda source, wanted: found_photographs(find_images(source, wanted)),
    # Any folder with images is such a one.
    rank=2,
)
