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
from pipeline.datasets.layouts import Conversion, described, layouts
from pipeline.errors import DatasetError
from pipeline.files import new_folder
from pipeline.progress import OnProgress

SAMPLE = Path(__file__).parent / "sample"

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
    known = layouts()
    asked = sorted(known, key=lambda layout: layout.rank)
    try:
        found = next(filter(None, (layout.find(folder, options.classes) for layout in asked)), None)
        target = build / f"dataset-{_digest(found.inputs if found else (), options)}"
    except OSError as error:
        raise DatasetError(f"{error.filename or folder}: {error.strerror}: make {folder} readable") from error
    if not found:
        raise DatasetError(f"{folder} holds no dataset: expected {described(known)}")
    if _is_whole(target):
        return target
    with new_folder(target) as temporary:
        name = options.name or found.name or folder.resolve().name
        progress, warning = on_progress or _no_progress, on_warning or _warn
        found.write(temporary, Conversion(name, options.seed, workers, progress, warning))
    return target


def _is_whole(folder: Path) -> bool:
    """Whether a dataset was converted there and nothing of it is lost."""
    try:
        splits = dataset_format.read_description(folder).splits
    except FormatError:
        return False
    return all((folder / strip.file).is_file() for strips in splits.values() for strip in strips)


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
