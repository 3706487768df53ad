"""MNIST's and EMNIST's IDX files → BMP strips.

Format: LeCun, Cortes and Burges, "The MNIST database of handwritten digits": big-endian magic (2051 images, 2049
labels), sizes as 32-bit integers, then bytes. EMNIST: Cohen, Afshar, Tapson and van Schaik, "EMNIST: an extension of
MNIST to handwritten letters": the same, but an image's rows are its columns, and letters are counted from 1.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

from pipeline.datasets.arrays.strips import refuse_empty, write_pictures
from pipeline.datasets.layouts import Conversion, Found, Layout
from pipeline.datasets.photographs.account import Converted
from pipeline.datasets.photographs.listing import choose_classes
from pipeline.errors import DatasetError

KINDS = ("images-idx3", "labels-idx1")

_IMAGES_MAGIC, _LABELS_MAGIC = 2051, 2049

# Labels are bytes, and a line of a mapping has a label and two codes.
_LARGEST_LABEL, _LARGEST_MAPPING = 255, 2**16

# EMNIST's largest file has 550 MB.
_LARGEST, _PIECE = 2**30, 2**20

_DIGITS = "0123456789"
_CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class IdxSet:
    """A dataset of four IDX files.

    Attributes:
      name: the dataset's.
      prefixes: how the names of a split's files begin.
      classes: their names, in the order of the labels.
      first_label: that of the first class.
      transposed: whether an image is stored column by column.
    """

    name: str
    prefixes: Mapping[str, str]
    classes: tuple[str, ...]
    first_label: int = 0
    transposed: bool = False


def _emnist(name: str, classes: str, first_label: int = 0) -> IdxSet:
    prefixes = {"train": f"emnist-{name}-train", "test": f"emnist-{name}-test"}
    return IdxSet(f"emnist-{name}", prefixes, tuple(classes), first_label, transposed=True)


MNIST = IdxSet("mnist", {"train": "train", "test": "t10k"}, tuple(_DIGITS))

SETS = (
    MNIST,
    _emnist("byclass", _DIGITS + _CAPITALS + _CAPITALS.lower()),
    # Small letters that look like the capital are its class.
    _emnist("bymerge", _DIGITS + _CAPITALS + "abdefghnqrt"),
    _emnist("balanced", _DIGITS + _CAPITALS + "abdefghnqrt"),
    _emnist("letters", _CAPITALS, first_label=1),
    _emnist("digits", _DIGITS),
    _emnist("mnist", _DIGITS),
)


@dataclass(frozen=True)
class _Split:
    images: Path
    labels: Path


def find_set(source: Path) -> IdxSet | None:
    """The set of which a folder has any file; its classes are named as the folder's mapping does.

    Raises:
      DatasetError: there are several, or the mapping cannot be read.
    """
    found = [
        known
        for known in SETS
        if any(_find(source, split, prefix, kind) for split, prefix in known.prefixes.items() for kind in KINDS)
    ]
    if len(found) > 1:
        names = ", ".join(known.name for known in found)
        raise DatasetError(f"{source} holds several datasets, {names}: put the files of one into a folder of its own")
    return _with_mapping(source, found[0]) if found else None


def find_files(source: Path, known: IdxSet = MNIST) -> list[Path]:
    """The four IDX files of a set, raw or .gz, in `train/` and `test/` or flat; empty when there is none.

    Raises:
      DatasetError: some are there and some are missing; the message names the missing ones.
    """
    names = [(split, prefix, kind) for split, prefix in known.prefixes.items() for kind in KINDS]
    found = [path for name in names if (path := _find(source, *name))]
    if found and len(found) < len(names):
        missing = [
            f"{prefix}-{kind}-ubyte[.gz]" for split, prefix, kind in names if not _find(source, split, prefix, kind)
        ]
        raise DatasetError(f"{source} lacks {', '.join(missing)}: put all four files of {known.name.upper()} there")
    return found


def convert_idx(source: Path, known: IdxSet, classes: Sequence[str], name: str, folder: Path | None) -> Converted:
    """Writes one BMP strip per split and class into `folder`; without one, everything is read all the same.

    Args:
      source: the folder with the files.
      known: the set that they are of.
      classes: the classes to take.
      name: the dataset's name.
      folder: an existing one, or None.

    Raises:
      DatasetError: files are damaged or contradict each other; one message names everything that is wrong.
    """
    files = find_files(source, known)
    problems: list[str] = []
    arrays: dict[str, tuple[Bytes, Bytes]] = {}
    for split, pair in zip(known.prefixes, (_Split(*files[:2]), _Split(*files[2:])), strict=True):
        images = _read(pair.images, _IMAGES_MAGIC, 3, problems)
        labels = _read(pair.labels, _LABELS_MAGIC, 1, problems)
        if images is not None and labels is not None:
            _check(pair, images, labels, known, problems)
            arrays[split] = (images.transpose(0, 2, 1) if known.transposed else images)[..., None], labels
    sizes = {images.shape[1:3] for images, _ in arrays.values()}
    if len(sizes) > 1:
        problems.append(f"the images of train and test differ in size: {sorted(sizes)}")
    if problems:
        raise DatasetError(f"{source}: {'; '.join(problems)}. Download the files again")
    numbers = [known.classes.index(name) + known.first_label for name in classes]
    converted = write_pictures(folder, name, classes, numbers, arrays)
    refuse_empty(source, converted.description)
    return converted


def _with_mapping(source: Path, known: IdxSet) -> IdxSet:
    """The set with the names of its `…-mapping.txt`: lines of a label and the codes of a character's forms."""
    file = source / f"{known.name}-mapping.txt"
    if not file.is_file():
        return known
    try:
        if file.stat().st_size > _LARGEST_MAPPING:
            raise ValueError(f"it has more than {_LARGEST_MAPPING} bytes")
        rows = [[int(word) for word in line.split()] for line in file.read_text().splitlines() if line.strip()]
        names = tuple(chr(row[1]) for row in sorted(rows))
        labels = [row[0] for row in sorted(rows)]
        if labels != list(range(labels[0], labels[0] + len(labels))) or len(set(names)) < len(names):
            raise ValueError("labels or characters are not one after the other, each once")
        if not 0 <= labels[0] <= labels[-1] <= _LARGEST_LABEL:
            raise ValueError(f"labels are not in 0 to {_LARGEST_LABEL}")
        # Half a character is no text; the error is a ValueError.
        "".join(names).encode()
    except (ValueError, IndexError, OverflowError) as error:
        raise DatasetError(f"{file} is not a label and its character's code in each line ({error})") from error
    return replace(known, classes=names, first_label=labels[0])


def _find(source: Path, split: str, prefix: str, kind: str) -> Path | None:
    for folder in (source / split, source):
        for stem in (f"{prefix}-{kind}-ubyte", f"{prefix}-{kind.replace('-', '.')}-ubyte"):
            for path in (folder / stem, folder / f"{stem}.gz"):
                if path.is_file():
                    return path
    return None


def _read(path: Path, magic: int, axes: int, problems: list[str]) -> Bytes | None:
    """The array of one file; what is wrong with it goes into `problems`."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _array(path.name, cast(BinaryIO, file), magic, axes)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        problems.append(f"{path.name} is a damaged or cut .gz ({error})")
    except OSError as error:
        problems.append(f"{path.name} cannot be read ({error.strerror})")
    except ValueError as error:
        problems.append(str(error))
    return None


def _array(name: str, file: BinaryIO, magic: int, axes: int) -> Bytes:
    """The array in an open file, of which no more is read than its header says: a small .gz may unfold without end.

    Raises:
      ValueError: it is not what the header says, or that is no header; the message names the file.
    """
    header = file.read(struct.calcsize(f">{1 + axes}I"))
    if len(header) < struct.calcsize(f">{1 + axes}I"):
        raise ValueError(f"{name} is cut short: {len(header)} bytes")
    found, *sizes = struct.unpack(f">{1 + axes}I", header)
    if found != magic:
        raise ValueError(f"{name} starts with magic {found}, not {magic}")
    size, content = math.prod(sizes), bytearray()
    # A header that lies is found out by what there is, not by the memory that it asks for.
    while len(content) <= min(size, _LARGEST) and (piece := file.read(min(_PIECE, size + 1 - len(content)))):
        content += piece
    if len(content) > _LARGEST:
        raise ValueError(f"{name} has more than {_LARGEST:,} bytes, which are more than are read at once")
    if len(content) != size:
        have = f"{len(header) + len(content)} bytes" if len(content) < size else "more bytes"
        raise ValueError(f"{name} has {have}, its header says {len(header) + size}")
    return np.frombuffer(content, np.uint8).reshape(sizes)


def _check(pair: _Split, images: Bytes, labels: Bytes, known: IdxSet, problems: list[str]) -> None:
    if len(images) != len(labels):
        problems.append(f"{pair.images.name} has {len(images)} images, {pair.labels.name} {len(labels)} labels")
    if not images.size:
        problems.append(f"{pair.images.name} has no images")
    last = known.first_label + len(known.classes) - 1
    wrong = np.flatnonzero((labels < known.first_label) | (labels > last))
    if len(wrong):
        first = int(wrong[0])
        problems.append(
            f"{pair.labels.name}: label {labels[first]} of image {first} is not one of {known.first_label} to {last}"
        )


def _find_idx(source: Path, wanted: Sequence[str] | None) -> Found | None:
    known = find_set(source)
    if known is None:
        return None
    files = find_files(source, known)
    classes = choose_classes(source, known.classes, wanted)

    def write(folder: Path | None, conversion: Conversion) -> Converted:
        return convert_idx(source, known, classes, conversion.name, folder)

    mapping = source / f"{known.name}-mapping.txt"
    return Found((*files, mapping), write, classes, known.name)


LAYOUT = Layout(
    "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte (raw or .gz), "
    "flat or in train/ and test/, or EMNIST's four of one set",
    photographs=False,
    find=_find_idx,
)
