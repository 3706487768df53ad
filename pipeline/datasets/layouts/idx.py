"""MNIST's IDX files → BMP strips.

Format: LeCun, Cortes and Burges, "The MNIST database of handwritten digits": big-endian magic (2051 images, 2049
labels), sizes as 32-bit integers, then bytes.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from device_runtime.formats.bmp import write_bmp
from device_runtime.formats.dataset import Description, Strip, write_description
from pipeline.datasets.layouts import Conversion, Found, Layout
from pipeline.errors import DatasetError, UsageError

SPLITS = {"train": "train", "test": "t10k"}
CLASSES = tuple(str(digit) for digit in range(10))

_IMAGES_MAGIC, _LABELS_MAGIC = 2051, 2049

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class _Split:
    images: Path
    labels: Path


def find_files(source: Path) -> list[Path]:
    """The four IDX files of an MNIST folder, raw or .gz, in `train/` and `test/` or flat; empty when there is none.

    Raises:
      DatasetError: some are there and some are missing; the message names the missing ones.
    """
    found = [
        path for split in SPLITS for kind in ("images-idx3", "labels-idx1") if (path := _find(source, split, kind))
    ]
    if found and len(found) < 4:
        missing = [
            f"{prefix}-{kind}-ubyte[.gz]"
            for split, prefix in SPLITS.items()
            for kind in ("images-idx3", "labels-idx1")
            if not _find(source, split, kind)
        ]
        raise DatasetError(f"{source} lacks {', '.join(missing)}: put all four files of MNIST there")
    return found


def convert_idx(source: Path, name: str, folder: Path) -> None:
    """Writes one BMP strip per split and class, and dataset.json, into `folder`.

    Raises:
      DatasetError: files are damaged or contradict each other; one message names everything that is wrong.
    """
    files = find_files(source)
    problems: list[str] = []
    arrays: dict[str, tuple[Bytes, Bytes]] = {}
    for split, pair in zip(SPLITS, (_Split(*files[:2]), _Split(*files[2:])), strict=True):
        images = _read(pair.images, _IMAGES_MAGIC, 3, problems)
        labels = _read(pair.labels, _LABELS_MAGIC, 1, problems)
        if images is not None and labels is not None:
            _check(pair, images, labels, problems)
            arrays[split] = (images, labels)
    sizes = {images.shape[1:] for images, _ in arrays.values()}
    if len(sizes) > 1:
        problems.append(f"the images of train and test differ in size: {sorted(sizes)}")
    if problems:
        raise DatasetError(f"{source}: {'; '.join(problems)}. Download the files again")
    strips = {split: _write_strips(folder, split, *pair) for split, pair in arrays.items()}
    height, width = sizes.pop()
    write_description(folder, Description(name, height, width, 1, CLASSES, strips))


def _find(source: Path, split: str, kind: str) -> Path | None:
    prefix = SPLITS[split]
    for folder in (source / split, source):
        for stem in (f"{prefix}-{kind}-ubyte", f"{prefix}-{kind.replace('-', '.')}-ubyte"):
            for path in (folder / stem, folder / f"{stem}.gz"):
                if path.is_file():
                    return path
    return None


def _read(path: Path, magic: int, axes: int, problems: list[str]) -> Bytes | None:
    """The array of one file; what is wrong with it goes into `problems`."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        problems.append(f"{path.name} is a damaged or cut .gz ({error})")
        return None
    except OSError as error:
        problems.append(f"{path.name} cannot be read ({error.strerror})")
        return None
    header = struct.calcsize(f">{1 + axes}I")
    if len(content) < header:
        problems.append(f"{path.name} is cut short: {len(content)} bytes")
        return None
    found, *sizes = struct.unpack_from(f">{1 + axes}I", content)
    if found != magic:
        problems.append(f"{path.name} starts with magic {found}, not {magic}")
        return None
    expected = header + math.prod(sizes)
    if len(content) != expected:
        problems.append(f"{path.name} has {len(content)} bytes, its header says {expected}")
        return None
    return np.frombuffer(content, np.uint8, offset=header).reshape(sizes)


def _check(pair: _Split, images: Bytes, labels: Bytes, problems: list[str]) -> None:
    if len(images) != len(labels):
        problems.append(f"{pair.images.name} has {len(images)} images, {pair.labels.name} {len(labels)} labels")
    if not images.size:
        problems.append(f"{pair.images.name} has no images")
    wrong = np.flatnonzero(labels >= len(CLASSES))
    if len(wrong):
        first = int(wrong[0])
        problems.append(f"{pair.labels.name}: label {labels[first]} of image {first} is not one of 0 to 9")


def _write_strips(folder: Path, split: str, images: Bytes, labels: Bytes) -> tuple[Strip, ...]:
    strips: list[Strip] = []
    for label, name in enumerate(CLASSES):
        chosen = images[labels == label]
        if not len(chosen):
            continue
        file = Path(split) / name / "images.bmp"
        (folder / file).parent.mkdir(parents=True)
        write_bmp(folder / file, chosen[..., None])
        strips.append(Strip(file.as_posix(), label, len(chosen)))
    return tuple(strips)


def _find_mnist(source: Path, wanted: Sequence[str]) -> Found | None:
    files = find_files(source)
    if files and wanted:
        raise UsageError(f"{source} holds MNIST, of which no classes can be chosen: leave the classes out")
    write = partial(_convert, source)
    return Found(tuple(files), write, "mnist") if files else None


def _convert(source: Path, folder: Path, conversion: Conversion) -> None:
    convert_idx(source, conversion.name, folder)


LAYOUT = Layout(
    "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte (raw or .gz), "
    "flat or in train/ and test/",
    photographs=False,
    find=_find_mnist,
)
