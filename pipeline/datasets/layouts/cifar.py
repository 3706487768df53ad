"""CIFAR-10 and CIFAR-100, in their binary and their Python form → BMP strips.

Format: Krizhevsky, "Learning multiple layers of features from tiny images", and the page of the data: an image is 1,024
bytes of red, of green, of blue, row by row. The binary form has before each image the bytes of its labels, in CIFAR-100
the coarse one first; the Python form is a pickle of a dictionary with `data`, N×3072, and a list of labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.datasets.arrays.pickles import array_of, read_pickle
from pipeline.datasets.arrays.strips import Pictures, refuse_empty, write_pictures
from pipeline.datasets.layouts import Conversion, Found, Layout
from pipeline.datasets.photographs.account import Converted
from pipeline.datasets.photographs.listing import choose_classes
from pipeline.errors import DatasetError, brief

_SIDE, _CHANNELS = 32, 3
_PIXELS = _CHANNELS * _SIDE * _SIDE

# CIFAR-100's training images have 154 MB; its list of names has 1 KB.
_LARGEST, _LARGEST_NAMES = 2**30, 2**16

_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class CifarSet:
    """One of the datasets in one of its forms.

    Attributes:
      name: the dataset's.
      files: of each split.
      names: the file with the classes' names.
      classes: how many there are.
      label: of the Python form, what the dictionary calls the labels; of the binary one, which byte they are.
      labels: of the binary form, how many bytes stand before an image; 0 of the Python form.
      list: of the Python form, what the dictionary of `names` calls them.
    """

    name: str
    files: Mapping[str, tuple[str, ...]]
    names: str
    classes: int
    label: str | int
    labels: int = 0
    list: str = ""


SETS = (
    CifarSet(
        "cifar-10",
        {"train": tuple(f"{batch}.bin" for batch in _BATCHES), "test": ("test_batch.bin",)},
        "batches.meta.txt",
        10,
        label=0,
        labels=1,
    ),
    CifarSet(
        "cifar-10", {"train": _BATCHES, "test": ("test_batch",)}, "batches.meta", 10, label="labels", list="label_names"
    ),
    CifarSet(
        "cifar-100",
        {"train": ("train.bin",), "test": ("test.bin",)},
        "fine_label_names.txt",
        100,
        label=1,
        labels=2,
    ),
    CifarSet(
        "cifar-100",
        {"train": ("train",), "test": ("test",)},
        "meta",
        100,
        label="fine_labels",
        list="fine_label_names",
    ),
)


def find_set(source: Path) -> CifarSet | None:
    """The set of which a folder has the names or a batch; None where there is none.

    Raises:
      DatasetError: there are several, or some of its files are missing; the message names them.
    """
    found = [known for known in SETS if _is_there(source, known)]
    if not found:
        return None
    if len(found) > 1:
        forms = " and ".join(known.names for known in found)
        raise DatasetError(
            f"{source} holds several datasets, of {forms}: put the files of one into a folder of its own"
        )
    missing = [name for name in _files(found[0]) if not (source / name).is_file()]
    if missing:
        raise DatasetError(f"{source} lacks {brief(missing)}: unpack all files of {found[0].name.upper()} there")
    return found[0]


def _is_there(source: Path, known: CifarSet) -> bool:
    there = {name for name in _files(known) if (source / name).is_file()}
    # `train`, `test` and `meta` may be anybody's.
    return len(there) > 1 and known.names in there if known.name == "cifar-100" else bool(there)


def _files(known: CifarSet) -> list[str]:
    return [*(name for names in known.files.values() for name in names), known.names]


def convert_cifar(
    source: Path, known: CifarSet, names: Sequence[str], classes: Sequence[str], name: str, folder: Path | None
) -> Converted:
    """Writes one BMP strip per split and class into `folder`; without one, everything is read all the same.

    Args:
      source: the folder with the files.
      known: the set that they are of.
      names: of all classes, in the order of the labels.
      classes: those to take.
      name: the dataset's.
      folder: an existing one, or None.

    Raises:
      DatasetError: files are damaged; one message names everything that is wrong.
    """
    problems: list[str] = []
    splits = {split: _read_split(source, known, files, problems) for split, files in known.files.items()}
    if problems:
        raise DatasetError(f"{source}: {brief(problems, separator='; ')}. Download the files again")
    converted = write_pictures(folder, name, classes, [names.index(name) for name in classes], splits)
    refuse_empty(source, converted.description)
    return converted


def read_names(source: Path, known: CifarSet) -> tuple[str, ...]:
    """The names of the classes.

    Raises:
      DatasetError: they cannot be read, or are not as many as there are classes.
    """
    path = source / known.names
    if path.stat().st_size > _LARGEST_NAMES:
        raise DatasetError(f"{path} has more than {_LARGEST_NAMES:,} bytes, which no list of names has")
    if known.list:
        found = _dictionary(path).get(known.list)
        names = [_name(name) for name in found] if isinstance(found, (list, tuple)) else []
    else:
        names = [line.strip() for line in path.read_text("utf-8", errors="replace").splitlines() if line.strip()]
    if len(set(names)) != known.classes or len(names) != known.classes:
        raise DatasetError(f"{path} does not name {known.classes} classes, each once: download the files again")
    return tuple(names)


def _read_split(source: Path, known: CifarSet, files: Sequence[str], problems: list[str]) -> Pictures:
    """Images and labels of a split; what is wrong goes into `problems`."""
    read = _read_python if known.list else _read_binary
    parts: list[tuple[Bytes, Bytes]] = []
    for path in (source / file for file in files):
        try:
            pixels, labels = read(path, known)
            _check(path, pixels, labels, known)
        except DatasetError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{path.name} cannot be read ({error.strerror})")
        else:
            parts.append((pixels, labels))
    if not parts:
        return np.empty((0, _SIDE, _SIDE, _CHANNELS), np.uint8), np.empty(0, np.uint8)
    pixels, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    return pixels.reshape(-1, _CHANNELS, _SIDE, _SIDE).transpose(0, 2, 3, 1), labels


def _read_binary(path: Path, known: CifarSet) -> tuple[Bytes, Bytes]:
    size, row = path.stat().st_size, known.labels + _PIXELS
    if size > _LARGEST:
        raise DatasetError(f"{path.name} has more than {_LARGEST:,} bytes, which are more than are read at once")
    if size % row:
        raise DatasetError(f"{path.name} has {size:,} bytes, which are not images of {row:,} bytes each")
    rows = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, row)
    return rows[:, known.labels :], rows[:, int(known.label)]


def _read_python(path: Path, known: CifarSet) -> tuple[Bytes, Bytes]:
    batch = _dictionary(path)
    pixels, labels = array_of(batch.get("data"), path), batch.get(str(known.label))
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != _PIXELS:
        raise DatasetError(f"{path.name} has data of {pixels.dtype}, {pixels.shape}, not of uint8, N × {_PIXELS}")
    # As far as they are bytes they are looked at later, as those of the binary form.
    if not isinstance(labels, list) or not all(isinstance(label, int) and 0 <= label < 256 for label in labels):
        raise DatasetError(f"{path.name} has no list {known.label} of whole numbers")
    return pixels.astype(np.uint8), np.array(labels, np.uint8)


def _dictionary(path: Path) -> dict[str, object]:
    """What a pickle says, by name; of Python 3's reading of Python 2, names may be bytes."""
    found = read_pickle(path)
    if not isinstance(found, dict):
        raise DatasetError(f"{path} is a pickle of something else than a dictionary: download it again")
    return {_name(name): value for name, value in found.items()}


def _name(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _check(path: Path, pixels: Bytes, labels: Bytes, known: CifarSet) -> None:
    if not len(pixels):
        raise DatasetError(f"{path.name} has no images")
    if len(pixels) != len(labels):
        raise DatasetError(f"{path.name} has {len(pixels)} images and {len(labels)} labels")
    wrong = np.flatnonzero(labels >= known.classes)
    if len(wrong):
        first = int(wrong[0])
        raise DatasetError(
            f"{path.name}: label {labels[first]} of image {first} is not one of 0 to {known.classes - 1}"
        )


def _find_cifar(source: Path, wanted: Sequence[str] | None) -> Found | None:
    known = find_set(source) if source.is_dir() else None
    if known is None:
        return None
    names = read_names(source, known)
    classes = choose_classes(source, names, wanted)

    def write(folder: Path | None, conversion: Conversion) -> Converted:
        return convert_cifar(source, known, names, classes, conversion.name, folder)

    return Found(tuple(source / name for name in _files(known)), write, classes, known.name)


LAYOUT = Layout(
    "CIFAR-10's or CIFAR-100's files, binary or Python's, as they are unpacked",
    photographs=False,
    find=_find_cifar,
)
