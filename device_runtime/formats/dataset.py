"""A dataset on disk: dataset.json, and BMP strips, `<split>/<class>/*.bmp`, or arrays, `<split>/x.npy` and `y.npy`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from device_runtime.formats.array import ArrayFile
from device_runtime.formats.bmp import BmpFile
from device_runtime.formats.errors import FormatError
from device_runtime.formats.paths import check_name, check_path
from device_runtime.formats.records import parse_object, typed
from device_runtime.formats.sample import CLASS, Sample, Target, check_sample, check_target, one_class, picture

FORMAT = 2
FILE_NAME = "dataset.json"

# Of a split; labels and order of so many take half a GiB each.
MOST_IMAGES = 2**26

# Files are kept open, but not as many as a process may have, which is often 1024 for all splits together.
_OPEN_FILES = 128


# Of an array's split: the samples, and beside them their targets.
SAMPLES, TARGETS = "x.npy", "y.npy"

# Of sound, beside dataset.json where there is any: what augmentation mixes in, of the samples' type and shape.
NOISE = "noise.npy"


@dataclass(frozen=True)
class Strip:
    """One BMP file: `count` images of one class stacked top-down; `file` is relative to the dataset's folder."""

    file: str
    label: int
    count: int


@dataclass(frozen=True)
class Description:
    """What dataset.json says.

    Attributes:
      sample: one sample.
      target: what is to be said of it.
      classes: names of the classes, of the labels or of the values.
      splits: of pictures, their files by split.
      arrays: of arrays, how many samples `<split>/x.npy` has, by split.
    """

    name: str
    sample: Sample
    target: Target
    classes: tuple[str, ...]
    splits: Mapping[str, tuple[Strip, ...]]
    arrays: Mapping[str, int]

    @property
    def counts(self) -> Mapping[str, int]:
        """How many samples each split has."""
        return self.arrays or {split: sum(strip.count for strip in strips) for split, strips in self.splits.items()}


def pictures(
    name: str, height: int, width: int, channels: int, classes: tuple[str, ...], splits: Mapping[str, tuple[Strip, ...]]
) -> Description:
    """Of a dataset of pictures, each of one class."""
    return Description(name, picture(height, width, channels), one_class(len(classes)), classes, splits, {})


class Split(Protocol):
    """The samples of one split, in the order of dataset.json.

    Attributes:
      labels: their targets: int64 N of one class each; int64 N×positions, or float32 N×count.
    """

    labels: npt.NDArray[Any]

    def __len__(self) -> int: ...

    def batch(self, indices: npt.NDArray[np.int64]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """The samples at `indices`, N×the sample's shape, contiguous, and their targets.

        Raises:
          FormatError: a file is missing, damaged or of another size than dataset.json says.
          IndexError: an index is negative or not below the number of samples.
        """
        ...


class PictureSplit:
    """A split of BMP strips."""

    def __init__(self, folder: Path, description: Description, strips: tuple[Strip, ...]) -> None:
        self._folder = folder
        self._shape = description.sample.shape
        self._strips = strips
        counts = np.array([strip.count for strip in strips], np.int64)
        self._ends = np.cumsum(counts)
        self._starts = self._ends - counts
        self.labels: npt.NDArray[np.int64] = np.repeat(np.array([strip.label for strip in strips], np.int64), counts)
        self._file = lru_cache(maxsize=_OPEN_FILES)(self._open)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """The pictures at `indices`: uint8 N×H×W×C (RGB), contiguous, and their labels, int64 N; see `Split`."""
        if len(indices) and indices.min() < 0:
            raise IndexError(f"index {indices.min()} is negative")
        height = self._shape[0]
        strips = np.searchsorted(self._ends, indices, side="right")
        firsts = (indices - self._starts[strips]) * height
        for strip in strips[:1].tolist():
            # The description alone says how large an image is: only a file of that size is memory taken for.
            self._file(strip)
        images = np.empty((len(indices), *self._shape), np.uint8)
        for image, strip, first in zip(images, strips.tolist(), firsts.tolist(), strict=True):
            image[...] = self._file(strip).read(first, height)[..., ::-1]
        return images, self.labels[indices]

    def _open(self, index: int) -> BmpFile:
        strip = self._strips[index]
        file = BmpFile(self._folder / strip.file)
        height, width, channels = self._shape
        if file.shape != (strip.count * height, width, channels):
            raise FormatError(
                f"{self._folder / strip.file} holds {file.shape} (rows, width, channels), {FILE_NAME} says "
                f"{(strip.count * height, width, channels)}: convert the dataset again"
            )
        return file


class ArraySplit:
    """A split of arrays; its targets are in memory."""

    def __init__(self, folder: Path, description: Description, count: int) -> None:
        sample, target = description.sample, description.target
        self._samples = _opened(folder / SAMPLES, count, sample.shape, sample.dtype)
        path = folder / TARGETS
        self.labels = _opened(path, count, target.shape, np.dtype(target.dtype).name).rows(np.arange(count))
        if target.kind == CLASS:
            _check_classes(path, self.labels, target)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: npt.NDArray[np.int64]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """The samples at `indices` and their targets; see `Split`."""
        return self._samples.rows(indices), self.labels[indices]


def _opened(path: Path, count: int, shape: tuple[int, ...], dtype: str) -> ArrayFile:
    file = ArrayFile(path)
    if (file.shape, file.dtype.name) != ((count, *shape), dtype):
        raise FormatError(
            f"{path} holds {file.shape} of {file.dtype.name}, {FILE_NAME} says {(count, *shape)} of {dtype}: "
            "convert the dataset again"
        )
    return file


def _check_classes(path: Path, labels: npt.NDArray[np.int64], target: Target) -> None:
    if len(wrong := target.no_classes(labels)):
        raise FormatError(f"{path} holds class {wrong[0]} of {target.count}: convert the dataset again")


@dataclass(frozen=True)
class Dataset:
    """A dataset that can be read; `noise` is what its training sounds may be mixed with, if there is any."""

    description: Description
    splits: Mapping[str, Split]
    noise: ArrayFile | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; a label is an index into them."""
        return self.description.classes


def write_description(folder: Path, description: Description) -> None:
    """Writes dataset.json into `folder`."""
    (folder / FILE_NAME).write_text(json.dumps({"format": FORMAT, **asdict(description)}, indent=1) + "\n")


def read_description(folder: Path) -> Description:
    """Reads dataset.json.

    Raises:
      FormatError: it is missing, damaged or of another format.
    """
    path = folder / FILE_NAME
    try:
        record = parse_object(path.read_text("utf-8"))
        if (found := typed(int, record.pop("format"))) != FORMAT:
            raise FormatError(f"{path} has format {found}, this program reads {FORMAT}: convert it again")
        description: Description = typed(Description, record)
        _check(description)
        return description
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}; -d takes a folder that the convert stage wrote") from error
    except (ValueError, KeyError) as error:
        raise FormatError(f"{path} is not a dataset description ({error}): convert the dataset again") from error


def _check(description: Description) -> None:
    """Raises ValueError where the numbers cannot be meant or a file lies outside the dataset's folder."""
    check_sample(description.sample)
    check_target(description.target)
    if len(description.classes) != description.target.count:
        raise ValueError(f"{len(description.classes)} names for {description.target.count}")
    if description.splits and description.arrays:
        raise ValueError("it has pictures and arrays")
    if description.splits and not (description.sample.is_picture and description.target.is_one_class):
        raise ValueError(f"strips of {description.sample.text}")
    for name, count in description.arrays.items():
        check_name(name)
        if not 0 < count <= MOST_IMAGES:
            raise ValueError(f"a split has {count} samples")
    for split in description.splits.values():
        for strip in split:
            if not 0 <= strip.label < len(description.classes) or strip.count < 1:
                raise ValueError(f"a strip has label {strip.label} and {strip.count} images")
            check_path(strip.file)
        # There is a label in memory for each.
        if sum(strip.count for strip in split) > MOST_IMAGES:
            raise ValueError(f"a split has more than {MOST_IMAGES:,} images")


def load_dataset(folder: Path) -> Dataset:
    """Opens a dataset; its pictures are opened when they are first read.

    Raises:
      FormatError: dataset.json is missing, damaged or of another format, or an array is.
    """
    description = read_description(folder)
    of_pictures = {name: PictureSplit(folder, description, strips) for name, strips in description.splits.items()}
    of_arrays = {name: ArraySplit(folder / name, description, count) for name, count in description.arrays.items()}
    return Dataset(description, {**of_pictures, **of_arrays}, _noise(folder, description.sample))


def _noise(folder: Path, sample: Sample) -> ArrayFile | None:
    path = folder / NOISE
    if not path.exists():
        return None
    noise = ArrayFile(path)
    if (noise.shape[1:], noise.dtype.name) != (sample.shape, sample.dtype) or not noise.shape[0]:
        raise FormatError(
            f"{path} holds {noise.shape} of {noise.dtype.name}, not samples of {sample.text}: convert the dataset again"
        )
    return noise
