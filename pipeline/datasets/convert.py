"""The convert stage: a folder of any known layout → build/dataset-<digest>/.

Without a folder it converts the sample of real MNIST digits that the project carries.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from device_runtime.formats import dataset as dataset_format
from device_runtime.formats.errors import FormatError
from pipeline.datasets.layouts.idx import convert_idx, find_files
from pipeline.datasets.layouts.image_folder import find_images
from pipeline.datasets.layouts.places import find_places
from pipeline.datasets.listing import Listing
from pipeline.errors import DatasetError, UsageError
from pipeline.files import new_folder
from pipeline.progress import OnProgress

SAMPLE = Path(__file__).parent / "sample"

# How photographs may lie in a folder, in the words of an error.
PHOTOGRAPHS = (
    "a folder of images (.jpg, .png, .bmp, .webp, .gif) for each class, or Places365's val_256/ with its two text files"
)

# Raised when a converted dataset would look different: what was converted before is then made again.
VERSION = 3


@dataclass(frozen=True)
class ConvertOptions:
    """How images become the dataset.

    Attributes:
      name: the dataset's name; None: mnist, or the name of the folder.
      classes: of photographs, the classes to take; none: the first ten.
      seed: of photographs, decides which image is in which split; 1, as every other seed by default.
    """

    name: str | None = None
    classes: tuple[str, ...] = ()
    seed: int = 1


def convert(
    source: Path | None,
    build: Path,
    options: ConvertOptions = ConvertOptions(),
    on_progress: OnProgress | None = None,
    on_warning: Callable[[str], None] | None = None,
    workers: int | None = None,
) -> Path:
    """Converts `source` once: the folder is named after a digest of names, sizes and times of the input's files.

    Args:
      source: the dataset's folder, or None for the sample.
      build: the build folder.
      options: how to convert.
      on_progress: takes photographs done and photographs in all.
      on_warning: takes a line for each broken photograph that is left out; None: they go to stderr.
      workers: processes that convert photographs; None: one for each core.

    Returns:
      The dataset's folder.

    Raises:
      DatasetError: the folder is missing, empty, of no known layout or damaged.
      UsageError: a class is asked for that the dataset lacks.
    """
    folder = SAMPLE if source is None else source
    if not folder.is_dir():
        state = "is not a folder" if folder.exists() else "does not exist"
        raise DatasetError(f"the data folder {folder} {state}: give --data the folder with the dataset's files")
    try:
        files = find_files(folder)
        listing = None if files else find_places(folder, options.classes) or find_images(folder, options.classes)
        target = build / f"dataset-{_digest(_inputs(files, listing), options)}"
    except OSError as error:
        raise DatasetError(f"{error.filename or folder}: {error.strerror}: make {folder} readable") from error
    if files and options.classes:
        raise UsageError(f"{folder} holds MNIST, of which no classes can be chosen: leave the classes out")
    if not files and not listing:
        raise DatasetError(
            f"{folder} holds no dataset: expected train-images-idx3-ubyte, train-labels-idx1-ubyte, "
            "t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte (raw or .gz), flat or in train/ and test/; "
            f"or {PHOTOGRAPHS}"
        )
    if _is_whole(target):
        return target
    with new_folder(target) as temporary:
        if listing:
            # Here, as Pillow is needed by photographs alone.
            from pipeline.datasets.image_set import convert_images

            name = options.name or folder.resolve().name
            progress, warning = on_progress or _no_progress, on_warning or _warn
            convert_images(listing, name, options.seed, temporary, workers, progress, warning)
        else:
            convert_idx(folder, options.name or "mnist", temporary)
    return target


def _is_whole(folder: Path) -> bool:
    """Whether a dataset was converted there and nothing of it is lost."""
    try:
        splits = dataset_format.read_description(folder).splits
    except FormatError:
        return False
    return all((folder / strip.file).is_file() for strips in splits.values() for strip in strips)


def _inputs(files: list[Path], listing: Listing | None) -> Iterable[Path]:
    """Every file that decides the dataset, the missing ones too."""
    return (*listing.sources, *(image.path for image in listing.images)) if listing else files


def _digest(files: Iterable[Path], options: ConvertOptions) -> str:
    content = [VERSION, asdict(options), [_state(path) for path in files]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _state(path: Path) -> tuple[str, int, int]:
    """Name, size in bytes and time in ns of a file; a missing one has neither."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return str(path.absolute()), -1, -1
    return str(path.resolve()), stat.st_size, stat.st_mtime_ns


def _no_progress(done: int, total: int) -> None:
    """Nobody looks."""


def _warn(line: str) -> None:
    print(f"warning: {line}", file=sys.stderr, flush=True)
