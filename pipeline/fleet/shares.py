"""Which device has which image, drawn by a seed: numbers alone, no files.

Images are drawn class by class after it is drawn how many of a class each device has; iid draws them all at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from pipeline.errors import DatasetError, brief
from pipeline.fleet.options.parting import Parting

# Raised when the same seed would give other shares.
VERSION = 1

TRAIN, TEST = "train", "test"

# So often proportions are drawn, until every device has enough images.
_DRAWS = 1000

Whole = npt.NDArray[np.int64]


def owners_of(
    labels: Mapping[str, Whole], classes: Sequence[str], parts: int, how: Parting, seed: int, least: int
) -> dict[str, Whole]:
    """The part of each image of each split.

    Args:
      labels: of each split, the class of each image: int64, N; there are "train" and "test".
      classes: their names.
      parts: how many there are.
      how: the training images are parted.
      seed: not negative.
      least: training images of a part.

    Returns:
      int64, N: a number from 0 to `parts` - 1. Every part has at least one test image.

    Raises:
      DatasetError: it cannot be parted so.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    train, test = labels[TRAIN], labels[TEST]
    _check(len(train), len(test), parts, least)
    if how.kind == "iid":
        owners = random.permutation(np.arange(len(train)) % parts)
        shares = _count(owners, train, parts, len(classes))
    else:
        of_class = np.bincount(train, minlength=len(classes))
        shares = (
            _dirichlet(of_class, parts, how, least, random)
            if how.kind == "dirichlet"
            else _of_few_classes(of_class, classes, parts, how, least, random)
        )
        owners = _draw(train, shares, random)
    rest = {
        split: _draw(of_split, _alike(np.bincount(of_split, minlength=len(classes)), shares), random)
        for split, of_split in labels.items()
        if split != TRAIN
    }
    return {TRAIN: owners, **rest}


def _check(train: int, test: int, parts: int, least: int) -> None:
    for split, count, wanted in (("training", train, least), ("test", test, 1)):
        if count < parts * wanted:
            raise DatasetError(
                f"{count:,} {split} samples are too few for {parts} devices with {wanted} each: "
                "give more samples, or fewer devices" + (", or a smaller --batch-size" if wanted > 1 else "")
            )


def _dirichlet(of_class: Whole, parts: int, how: Parting, least: int, random: np.random.Generator) -> Whole:
    """Images of each class by part, parts × classes: proportions of a class are drawn of Dir(concentration)."""
    for _ in range(_DRAWS):
        proportions = random.dirichlet(np.full(parts, how.value), len(of_class))
        ends = np.floor(np.cumsum(proportions, axis=1) * of_class[:, None]).astype(np.int64)
        ends[:, -1] = of_class
        shares: Whole = np.diff(ends, axis=1, prepend=0).T
        if shares.sum(axis=1).min() >= least:
            return shares
    raise DatasetError(
        f"--partition {how}: of {_DRAWS:,} draws none gives each of {parts} devices {least} training samples: "
        "give a larger concentration, fewer devices, or a smaller --batch-size"
    )


def _of_few_classes(
    of_class: Whole, classes: Sequence[str], parts: int, how: Parting, least: int, random: np.random.Generator
) -> Whole:
    """Images of each class by part, parts × classes: of so many classes each, and equal shares of a class."""
    each, count = int(how.value), len(classes)
    if each > count:
        raise DatasetError(f"--partition {how}: there are {count} classes: give classes:{count} or fewer")
    if parts * each < count:
        raise DatasetError(
            f"--partition {how}: {parts} devices with {each} each leave some of the {count} classes to nobody: "
            f"give classes:{-(-count // parts)}, or {-(-count // each)} devices"
        )
    has = np.zeros((parts, count), np.int64)
    for own in has:
        # Those that the fewest devices have, at random among equals.
        own[np.lexsort((random.random(count), has.sum(axis=0)))[:each]] = 1
    holders = has.sum(axis=0)
    if few := [classes[label] for label in np.flatnonzero(of_class < holders).tolist()]:
        raise DatasetError(
            f"--partition {how}: of {brief(few, 5)} there are fewer training samples than devices that are to have "
            "some: give more samples, or fewer devices"
        )
    shares: Whole = has * (of_class // holders) + has * (np.cumsum(has, axis=0) <= of_class % holders)
    if (smallest := int(shares.sum(axis=1).min())) < least:
        raise DatasetError(
            f"--partition {how}: one of {parts} devices would have {smallest} training samples, less than {least}: "
            "give more classes each, fewer devices, or a smaller --batch-size"
        )
    return shares


def _alike(of_class: Whole, shares: Whole) -> Whole:
    """Images of each class by part, in the proportions of `shares`: by the largest remainder, and none for nobody.

    Args:
      of_class: the images that there are.
      shares: images of each class by part, parts × classes; those of a class that nobody has go to all alike.
    """
    weights = np.where(shares.sum(axis=0), shares, 1)
    exact = of_class * weights / weights.sum(axis=0)
    found: Whole = np.floor(exact).astype(np.int64)
    for label, remainders in enumerate((exact - found).T):
        # Among equals, whoever has fewest.
        first = np.lexsort((found.sum(axis=1), -np.round(remainders, 9)))
        found[first[: of_class[label] - found[:, label].sum()], label] += 1
    for number in np.flatnonzero(found.sum(axis=1) == 0):
        _take_one(found, int(number), shares)
    return found


def _take_one(found: Whole, number: int, shares: Whole) -> None:
    """Gives a part an image of the part that has most, of a class that both train on where there is one."""
    sums = found.sum(axis=1)
    # Of a split with fewer images than parts some stay empty.
    if sums.max() < 2:
        return
    able = (found > 0) & (sums[:, None] > 1)
    own = able & (shares[number] > 0)
    able = own if own.any() else able
    donors = np.where(able, sums[:, None] * (found.max() + 1) + found, -1)
    donor, label = np.unravel_index(int(donors.argmax()), donors.shape)
    found[donor, label] -= 1
    found[number, label] += 1


def _draw(labels: Whole, shares: Whole, random: np.random.Generator) -> Whole:
    """The part of each image, drawn so that each part has its share of each class."""
    owners = np.empty(len(labels), np.int64)
    for label, of_parts in enumerate(shares.T):
        owners[random.permutation(np.flatnonzero(labels == label))] = np.repeat(np.arange(len(of_parts)), of_parts)
    return owners


def _count(owners: Whole, labels: Whole, parts: int, classes: int) -> Whole:
    return np.bincount(owners * classes + labels, minlength=parts * classes).reshape(parts, classes)
