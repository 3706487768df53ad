"""torchvision's `train/<class>/…`, `val/<class>/…`, `test/<class>/…` → a listing with splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.datasets.layouts import Layout, found_photographs
from pipeline.datasets.layouts.image_folder import beside_classes
from pipeline.datasets.photographs.listing import LabelledImage, LeftOut, Listing, choose_classes, in_order
from pipeline.datasets.photographs.names import readable_classes
from pipeline.datasets.photographs.split import SPLITS
from pipeline.datasets.photographs.walk import files_in, folders_in, is_image_name, kind_of, walk
from pipeline.datasets.recordings.reading import SUFFIXES as RECORDINGS
from pipeline.errors import DatasetError, brief, in_line

BESIDE = "folders beside those of the splits"


def find_splits(source: Path, wanted: Sequence[str] | None = ()) -> Listing | None:
    """The images of the chosen classes; None where there are no such folders, or train/ is a class itself.

    A split's folder without folders of classes, as an unlabelled test/, is left out: that split comes out of train/.

    Raises:
      UsageError: a class is asked for that is not there.
      DatasetError: train/ is missing, or a class of another split is not in it, or a split has two folders.
    """
    folders = folders_in(source)
    of_splits = [folder for folder in folders if folder.name.lower() in SPLITS]
    by_split: dict[str, Path] = {}
    for folder in of_splits:
        by_split.setdefault(SPLITS[folder.name.lower()], folder)
    labelled = {split: folder for split, folder in by_split.items() if folders_in(folder)}
    # Beside others, two of them with folders of classes are no accident.
    if not of_splits or (len(of_splits) < len(folders) and ("train" not in labelled or len(labelled) < 2)):
        return None
    if "train" not in labelled:
        _refuse_without_train(source, by_split, labelled)
        if not labelled and "train" in by_split and len(by_split) > 1 and not wanted:
            _refuse_without_classes(source, by_split)
        return None
    if any(is_image_name(path) for path in files_in(labelled["train"])):
        return None
    for folder in of_splits:
        if folder != (kept := by_split[SPLITS[folder.name.lower()]]):
            raise DatasetError(f"{source}: both {kept.name}/ and {folder.name}/ are for one split: leave one")
    listing = _listing(source, by_split, labelled, wanted)
    if not listing.images and any(not kind_of(thing.path, RECORDINGS) for thing in listing.left_out):
        names = " and ".join(f"{folder.name}/" for folder in by_split.values())
        raise DatasetError(
            f"{source} has recordings in {names}: put them into one folder for each class, and name those that are not "
            "to be trained on in validation_list.txt and testing_list.txt"
        )
    return listing


def _refuse_without_train(source: Path, by_split: Mapping[str, Path], labelled: Mapping[str, Path]) -> None:
    """Classes may have such names; but not where each holds folders of images alone."""
    holds = [folder for folder in labelled.values() if not any(is_image_name(path) for path in files_in(folder))]
    if "train" in by_split or len(holds) < len(by_split) or not any(walk(folder).images for folder in holds):
        return
    names = " and ".join(f"{folder.name}/" for folder in holds)
    raise DatasetError(
        f"{source} has {names} but no train/: put the training images into train/, or, to divide those of one folder, "
        f"give --data {holds[0]}"
    )


def _refuse_without_classes(source: Path, by_split: Mapping[str, Path]) -> None:
    """A network would learn to tell training images from others."""
    folders = " and ".join(f"{folder.name}/" for folder in by_split.values())
    raise DatasetError(
        f"{source} has {folders} without a folder for each class in them: sort the images into such folders, write a "
        "labels.csv, or, if these are the classes, name them with --classes"
    )


def _listing(
    source: Path, by_split: Mapping[str, Path], labelled: Mapping[str, Path], wanted: Sequence[str] | None
) -> Listing:
    places = {split: {folder.name: folder for folder in folders_in(labelled[split])} for split in labelled}
    names = in_order({name for classes in places.values() for name in classes})
    shown = readable_classes(names)
    classes = choose_classes(source, shown, wanted)
    chosen = [names[shown.index(name)] for name in classes]
    _refuse_untrained(source, labelled, places, dict(zip(chosen, classes, strict=True)))
    images: list[LabelledImage] = []
    left_out = [
        *beside_classes(source),
        *(LeftOut(folder, BESIDE) for folder in folders_in(source) if folder not in by_split.values()),
    ]
    for split, folder in by_split.items():
        left_out += beside_classes(folder)
        for label, name in enumerate(chosen):
            place = places.get(split, {}).get(name)
            if place is None:
                continue
            found = walk(place)
            images += [
                LabelledImage(path, label, path.relative_to(place).as_posix(), split) for path in sorted(found.images)
            ]
            left_out += [LeftOut(path, reason, label) for path, reason in found.others]
    return Listing(source, classes, tuple(images), left_out=tuple(left_out), folders=tuple(chosen))


def _refuse_untrained(
    source: Path, labelled: Mapping[str, Path], places: Mapping[str, Mapping[str, Path]], shown: Mapping[str, str]
) -> None:
    untrained = [
        f"{in_line(name)} ({', '.join(labelled[split].name for split in places if folder in places[split])})"
        for folder, name in shown.items()
        if folder not in places["train"]
    ]
    if untrained:
        raise DatasetError(
            f"{source}: {labelled['train'].name}/ lacks classes of other splits: {brief(untrained)}: add them there, "
            "or name the other classes with --classes"
        )


LAYOUT = Layout(
    "train/ and val/ or test/ that hold such folders",
    photographs=True,
    find=lambda source, wanted: found_photographs(find_splits(source, wanted)),
    rank=1,
)
