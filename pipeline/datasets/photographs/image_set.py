"""A listing of photographs → single BMP images, `<split>/<class>/<file>.bmp`, and what there is to say about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from device_runtime.formats.dataset import Description, Strip, pictures
from pipeline.datasets.photographs.account import MAX_BROKEN, Account, Converted, left_out_line
from pipeline.datasets.photographs.decoding import Job, Outcome, decode
from pipeline.datasets.photographs.duplicates import groups_of, told_of, worth_comparing
from pipeline.datasets.photographs.listing import LabelledImage, Listing
from pipeline.datasets.photographs.names import file_name
from pipeline.datasets.photographs.oddities import depth_of, told_of_classes, told_of_pixels
from pipeline.datasets.photographs.photograph import PHOTOGRAPH, Colour
from pipeline.datasets.photographs.preparation import Preparation
from pipeline.datasets.photographs.split import SHARES, Item, split_images
from pipeline.errors import DatasetError, brief, in_line
from pipeline.progress import OnProgress

DAMAGED, WITHOUT_DECODER = "damaged", "HEIC, which `pip install pillow-heif` lets this read,"


def convert_images(
    listing: Listing,
    name: str,
    seed: int,
    folder: Path | None,
    workers: int | None,
    background: Colour,
    on_progress: OnProgress,
) -> Converted:
    """Writes one BMP for each image into `folder`.

    Args:
      listing: the images and their classes.
      name: the dataset's name.
      seed: of the split.
      folder: an existing folder that takes the images; None: nothing is written.
      workers: processes; None: one for each core.
      background: RGB; what is transparent shows it.
      on_progress: takes images done and images in all.

    Raises:
      DatasetError: a class has no usable image, more than 1% of the images are damaged, a split stays empty, or a
        worker died.
    """
    preparation = replace(PHOTOGRAPH, background=background)
    outcomes, depth = _decode_all(listing, folder, workers, preparation, on_progress)
    _check(listing, outcomes)
    good = [index for index, outcome in enumerate(outcomes) if not outcome.problem]
    images = [listing.images[index] for index in good]
    usable = [outcomes[index] for index in good]
    together = groups_of([outcome.digest for outcome in usable])
    splits = split_images([Item(listing.key(image), image.label, image.split) for image in images], together, seed)
    files = _places(listing, images, splits)
    if folder:
        _place(folder, good, files)
    copies = told_of(listing, images, together)
    description = _describe(listing, name, images, splits, files)
    _refuse_empty(listing, description, copies)
    told = [
        *listing.told,
        *_left_out(listing, outcomes),
        *told_of_pixels(listing, images, usable, depth, background),
        *copies,
        *told_of_classes(description),
    ]
    account = Account(tuple(told), _left_out_by_class(listing, outcomes))
    return Converted(description, account, replace(preparation, white=2**depth - 1))


def _decode_all(
    listing: Listing, folder: Path | None, workers: int | None, preparation: Preparation, on_progress: OnProgress
) -> tuple[list[Outcome], int]:
    """Every image under the number that it has in the listing; grey of 16 bits by the depth that all of it has.

    A camera's 12 bits in files of 16 would be nearly black, and nothing in a file says how many bits it has.
    """
    if folder:
        (folder / _numbered(0)).parent.mkdir()
    compared = worth_comparing([image.path for image in listing.images])
    jobs = [
        Job(image.path, folder / _numbered(index) if folder else None, preparation, compared=asked)
        for index, (image, asked) in enumerate(zip(listing.images, compared, strict=True))
    ]
    outcomes = decode(jobs, workers, on_progress)
    depth = depth_of(outcomes)
    if folder and depth < 16:
        whiter = replace(preparation, white=2**depth - 1)
        again = [replace(job, preparation=whiter) for job, o in zip(jobs, outcomes, strict=True) if o.peak is not None]
        decode(again, workers, lambda done, total: None)
    return outcomes, depth


def _numbered(index: int) -> Path:
    """Where an image is until it is known which are usable, and so which split it is in."""
    return Path(".images", f"{index}.bmp")


def _check(listing: Listing, outcomes: Sequence[Outcome]) -> None:
    """Refuses classes without a usable image to train on, and many damaged images."""
    usable = Counter(
        image.label for image, outcome in zip(listing.images, outcomes, strict=True) if not outcome.problem
    )
    empty = [label for label in range(len(listing.classes)) if not usable[label]]
    if empty:
        things = _things(listing, outcomes)
        lines = [_why_empty(listing.classes[label], [t for t in things if t[0] == label]) for label in empty]
        raise DatasetError(
            f"{listing.source}: {brief(lines, 20, '; ')}. Add images, or name the other classes with --classes"
        )
    broken = [
        f"{listing.within(image.path)} {outcome.problem}"
        for image, outcome in zip(listing.images, outcomes, strict=True)
        if outcome.damaged
    ]
    if len(broken) > MAX_BROKEN * len(outcomes):
        raise DatasetError(
            f"{listing.source}: {len(broken)} of {len(outcomes)} images are broken, more than {MAX_BROKEN:.0%}: "
            f"{brief(broken, 50, '; ')}. Replace or remove them"
        )


def _why_empty(name: str, things: Sequence[tuple[int | None, str, str]]) -> str:
    reasons = [(reason, name) for _, reason, name in things]
    what = left_out_line(reasons).removeprefix("left out: ") if reasons else "it is empty"
    return f"the class {in_line(name)} has no usable image: {what}"


def _things(listing: Listing, outcomes: Sequence[Outcome]) -> list[tuple[int | None, str, str]]:
    """Class, reason and name of everything that is left out."""
    found: list[tuple[int | None, str, str]] = []
    for image, outcome in zip(listing.images, outcomes, strict=True):
        if outcome.damaged:
            found.append((image.label, DAMAGED, f"{listing.within(image.path)} {outcome.problem}"))
        elif outcome.problem:
            found.append((image.label, WITHOUT_DECODER, listing.within(image.path)))
    return found + [(thing.label, thing.reason, listing.within(thing.path)) for thing in listing.left_out]


def _left_out(listing: Listing, outcomes: Sequence[Outcome]) -> list[str]:
    things = [(reason, name) for _, reason, name in _things(listing, outcomes)]
    return [left_out_line(things)] if things else []


def _left_out_by_class(listing: Listing, outcomes: Sequence[Outcome]) -> dict[str, int]:
    labels = Counter(label for label, _, _ in _things(listing, outcomes) if label is not None)
    return {listing.classes[label]: count for label, count in labels.items()}


def _places(listing: Listing, images: Sequence[LabelledImage], splits: Sequence[str]) -> list[str]:
    """Where each image lies in the dataset."""
    found: list[str] = []
    taken: set[str] = set()
    for image, split in zip(images, splits, strict=True):
        # The old suffix stays: a.jpg and a.png may lie side by side.
        file = file_name(split, listing.folder(image.label), image.name)
        if file in taken:
            # It came from another given split to stay with its copy.
            place, slash, last = image.name.rpartition("/")
            file = file_name(split, listing.folder(image.label), f"{place}{slash}{image.split}~{last}")
        taken.add(file)
        found.append(file)
    return found


def _place(folder: Path, numbers: Sequence[int], files: Sequence[str]) -> None:
    """Gives the usable images their names; what is left are none."""
    for parent in {(folder / file).parent for file in files}:
        parent.mkdir(parents=True, exist_ok=True)
    for number, file in zip(numbers, files, strict=True):
        (folder / _numbered(number)).rename(folder / file)
    (folder / _numbered(0)).parent.rmdir()


def _describe(
    listing: Listing, name: str, images: Sequence[LabelledImage], splits: Sequence[str], files: Sequence[str]
) -> Description:
    strips: dict[str, list[Strip]] = {split: [] for split in SHARES}
    for image, split, file in zip(images, splits, files, strict=True):
        strips[split].append(Strip(file, image.label, 1))
    # Where every class has two images there is nothing to validate with, as in MNIST: the test images do.
    there = {split: tuple(of_split) for split, of_split in strips.items() if of_split or split != "validation"}
    return pictures(name, *PHOTOGRAPH.shape, listing.classes, there)


def _refuse_empty(listing: Listing, description: Description, copies: Sequence[str]) -> None:
    """Refuses a class that is not trained on, and what is not tested; copies, which stay together, may be why."""
    trained = {strip.label for strip in description.splits["train"]}
    untrained = [name for label, name in enumerate(listing.classes) if label not in trained]
    why = f" ({'; '.join(copies)})" if copies else ""
    if untrained:
        raise DatasetError(
            f"{listing.source}: no usable image to train on of {brief(untrained)}{why}: add some to train, "
            "or name the other classes with --classes"
        )
    if not description.splits["test"]:
        empty = [split for split in ("test", "validation") if not description.splits.get(split)]
        images = sum(len(strips) for strips in description.splits.values())
        raise DatasetError(
            f"{listing.source}: of {images} images none fell into {' and '.join(empty)}{why}: add images"
        )
