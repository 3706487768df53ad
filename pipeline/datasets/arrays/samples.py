"""Samples and targets as they came → what the runner reads: types that it knows, numbers that are numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from device_runtime.formats.sample import CLASS, DTYPES, LABELS, VALUES, Sample, Target
from pipeline.datasets.arrays.reading import Array, text_of
from pipeline.errors import DatasetError, brief

# What comes as another type, and what it becomes.
_BECOMES = {"bool": "uint8", "int8": "int16", "uint16": "int32", "uint32": "int64", "float64": "float32"}

KINDS = (CLASS, LABELS, VALUES)

# So few that they may be classes.
_FEW_VALUES = 50


@dataclass(frozen=True)
class Table:
    """Samples, N×…, with their targets, N or N×….

    Attributes:
      group: of each sample what belongs together with it, N; None where each stands alone.
    """

    x: Array
    y: Array
    group: Array | None = None


@dataclass(frozen=True)
class Meaning:
    """What targets mean: `names` of the classes, the labels or the values."""

    target: Target
    names: tuple[str, ...]


def prepared_samples(x: Array, name: str, told: list[str]) -> Array:
    """Samples of a type that the runner knows, at least one number each; what changed is told.

    Raises:
      DatasetError: they are no numbers, there are none, or some are not finite.
    """
    if x.dtype.kind not in "biuf" or x.dtype.itemsize > 8 or (x.dtype.kind == "u" and x.dtype.itemsize == 8):
        raise DatasetError(f"{name} is of type {x.dtype}: give {', '.join(DTYPES)}")
    if not x.ndim or not x.size:
        raise DatasetError(f"{name} has shape {x.shape}: there is nothing in it to train on")
    into = _BECOMES.get(x.dtype.newbyteorder("=").name, x.dtype.newbyteorder("=").name)
    with np.errstate(over="ignore"):
        changed = np.ascontiguousarray(x, np.dtype(into))
    if x.dtype.kind == "f":
        _check_finite(changed, name)
    if into != x.dtype.name and x.dtype.kind != "b":
        told.append(f"{name} was of type {x.dtype.name}, and is {into} now")
    return changed.reshape(len(changed), *(changed.shape[1:] or (1,)))


def meaning_of(tables: Mapping[str, Table], kind: str | None, ignore: int | None, names: Sequence[str]) -> Meaning:
    """What the targets of all splits mean.

    Args:
      tables: by split.
      kind: `KINDS`, or None: texts and whole numbers are classes, a matrix of nothing but 0 and 1 labels, other
        matrices of whole numbers a class for each position, and numbers with a point values.
      ignore: the number of a position without a class; None: the one negative number that there is, if any.
      names: of the classes, labels or values; none: their numbers.

    Raises:
      DatasetError: they cannot mean that.
    """
    ys = {split: table.y for split, table in tables.items()}
    for split, y in ys.items():
        if y.dtype.kind == "f":
            # As they become: what is beyond float32 is infinite there.
            with np.errstate(over="ignore"):
                _check_finite(y.astype(np.float32), f"y of {split}")
    kind = kind or _kind_of(list(ys.values()))
    if kind not in KINDS:
        raise DatasetError(f"kind is {kind!r}: give {', '.join(KINDS)}")
    if kind == CLASS:
        return _classes(ys, ignore, names)
    shapes = {y.shape[1:] or (1,) for y in ys.values()}
    if len(shapes) > 1 or len(shape := shapes.pop()) != 1 or any(y.dtype.kind not in "biuf" for y in ys.values()):
        raise DatasetError(f"targets that are {kind} are N or N×K numbers, of the same K in every split")
    if kind == LABELS and not all(np.isin(y, (0, 1)).all() for y in ys.values()):
        raise DatasetError("targets that are labels are 0 or 1, for each label")
    return Meaning(Target(kind, shape[0], shape), _named(names, shape[0], kind))


def target_array(y: Array, meaning: Meaning) -> Array:
    """Targets as the runner reads them: int64 of classes, float32 of labels and values."""
    target = meaning.target
    if y.dtype.kind in "US":
        place = {name: number for number, name in enumerate(meaning.names)}
        y = np.array([place[text_of(value)] for value in y.reshape(-1).tolist()], np.int64).reshape(y.shape)
    return np.ascontiguousarray(y.reshape(len(y), *target.shape), target.dtype)


def _kind_of(ys: Sequence[Array]) -> str:
    if any(y.dtype.kind == "f" for y in ys):
        return VALUES
    is_matrix = all(y.ndim == 2 and y.dtype.kind in "biu" for y in ys)
    return LABELS if is_matrix and all(np.isin(y, (0, 1)).all() for y in ys) else CLASS


def _classes(ys: Mapping[str, Array], ignore: int | None, names: Sequence[str]) -> Meaning:
    # As Keras gives them: a column of classes is one class each, and not one position.
    shapes = {() if y.shape[1:] == (1,) else y.shape[1:] for y in ys.values()}
    if len(shapes) > 1:
        raise DatasetError(f"the targets of the splits differ in shape: {sorted(shapes)}")
    shape = shapes.pop()
    kinds = {y.dtype.kind for y in ys.values()}
    if kinds <= set("US"):
        found = sorted({text_of(value) for y in ys.values() for value in np.unique(y).tolist()})
        unnamed = [name for name in found if name not in names] if names else []
        if unnamed:
            raise DatasetError(f"there are targets of {brief(unnamed)}, and classes of {brief(names)}: name them all")
        return _meaning_of_classes(tuple(names) or tuple(found), shape, None)
    if not kinds <= set("biu"):
        raise DatasetError(f"classes are whole numbers or texts, the targets are of type {brief(_types(ys))}")
    met = np.unique(np.concatenate([np.unique(y).astype(np.int64) for y in ys.values()]))
    below = met[met < 0]
    if ignore is None and shape and len(below) == 1:
        ignore = int(below[0])
    classes = met[met != ignore] if ignore is not None else met
    if ignore is not None and not shape:
        raise DatasetError("a number is ignored where each position has a class: leave such samples out")
    if not len(classes):
        raise DatasetError(f"every target is {ignore}, which is ignored: there is nothing to learn")
    if classes[0] < 0:
        unless = ", or say by `ignore` which number is none" if shape and ignore is None else ""
        raise DatasetError(f"classes are numbers from 0, there is {int(classes[0])}: number them from 0{unless}")
    count = int(classes[-1]) + 1
    if count > max(2 * len(classes), 1000) and not names:
        raise DatasetError(f"there are {len(classes)} classes with numbers up to {count - 1}: number them from 0 on")
    if names and len(names) < count:
        raise DatasetError(f"there are names of {len(names)} classes, and a class {count - 1}")
    return _meaning_of_classes(tuple(names) or tuple(map(str, range(count))), shape, ignore)


def _meaning_of_classes(names: tuple[str, ...], shape: tuple[int, ...], ignore: int | None) -> Meaning:
    if len(names) < 2:
        raise DatasetError(f"every target is of the class {brief(names)}: there is nothing to tell apart")
    if len(set(names)) < len(names):
        raise DatasetError(f"two classes have one name: {brief(names)}")
    return Meaning(Target(CLASS, len(names), shape, ignore), names)


def untrained_line(train: Table, meaning: Meaning) -> list[str]:
    """A line of classes that no sample of training has, if there are any."""
    if meaning.target.kind != CLASS:
        return []
    trained = set(np.unique(target_array(train.y, meaning)).tolist())
    lacking = [name for number, name in enumerate(meaning.names) if number not in trained]
    lines = [f"{len(lacking)} of {len(meaning.names)} classes have no sample to train on: {brief(lacking)}"]
    return lines if lacking else []


def doubt_line(tables: Mapping[str, Table], meaning: Meaning) -> list[str]:
    """A line where nobody said what targets are, and they may well be classes."""
    ys = [table.y.reshape(len(table.y), -1) for table in tables.values()]
    if meaning.target.kind == CLASS:
        return []
    if all(y.shape[1] > 1 and _is_one_hot(y) for y in ys):
        return [f"each row of y has a single 1, and is {meaning.target.text}: for a class each, give y.argmax(1)"]
    met = np.unique(np.concatenate(ys))
    if meaning.target.kind == VALUES and meaning.target.count == 1 and len(met) <= _FEW_VALUES and _is_whole(met):
        return ["the targets are whole numbers written with a point, and so values: for classes, leave the point out"]
    return []


def _is_whole(numbers: Array) -> bool:
    return bool((numbers == np.round(numbers)).all())


def _is_one_hot(y: Array) -> bool:
    return bool(np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all())


def _named(names: Sequence[str], count: int, kind: str) -> tuple[str, ...]:
    if names and len(names) != count:
        raise DatasetError(f"there are {len(names)} names for {count} {kind}")
    return tuple(names) or tuple(map(str, range(count)))


def _types(ys: Mapping[str, Array]) -> list[str]:
    return sorted({str(y.dtype) for y in ys.values()})


def _check_finite(array: Array, name: str) -> None:
    wrong = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if wrong.any():
        raise DatasetError(
            f"{name}: {np.count_nonzero(wrong):,} of {len(array):,} samples hold NaN or infinite numbers, the first is "
            f"number {int(np.argmax(wrong))}: remove them, or fill in what is missing"
        )


def sample_of(x: Array) -> Sample:
    """What one of the samples is."""
    return Sample(x.dtype.name, tuple(x.shape[1:]))
