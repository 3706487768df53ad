"""The convert stage: a folder of any known layout → build/dataset-<digest>/, or what would be in it.

Without a folder it converts the sample of real MNIST digits that the project carries.
"""

from __future__ import annotations

import errno
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from device_runtime.formats import dataset as dataset_format
from pipeline.datasets.layouts import Conversion, Found, find
from pipeline.datasets.photographs.account import Converted, read_account, write_account
from pipeline.datasets.photographs.preparation import write_preparation
from pipeline.errors import DatasetError, UsageError, readable
from pipeline.files import new_folder
from pipeline.progress import OnProgress
from pipeline.recipe import CategoriesForm
from pipeline.stages import build_once

SAMPLE = Path(__file__).parent / "sample"

# Raised when a converted dataset would look different: what was converted before is then made again.
VERSION = 8


@dataclass(frozen=True)
class ConvertOptions:
    """How images become the dataset.

    Attributes:
      name: the dataset's name; None: mnist, or the name of the folder.
      classes: the classes to take, in their order; none: all, of Places the first ten.
      seed: of photographs, decides which image is in which split; 1, as every other seed by default.
      background: RGB; what is transparent shows it.
      target_column, group_column, categories: of a table; see `Conversion`.
    """

    name: str | None = None
    classes: tuple[str, ...] = ()
    seed: int = 1
    background: tuple[int, int, int] = (255, 255, 255)
    target_column: str | None = None
    group_column: str | None = None
    categories: CategoriesForm = "one_hot"


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
      source: the dataset's folder or file, or None for the sample.
      build: the build folder.
      options: how to convert.
      on_progress: takes photographs done and photographs in all.
      on_warning: takes a line for each thing that is odd and one of what was left out, of what was converted before
        too; None: they go to stderr.
      workers: processes that convert photographs; None: one for each core.

    Returns:
      The dataset's folder.

    Raises:
      DatasetError: the folder is missing, empty, of no known layout or damaged, or a class has no image.
      UsageError: a class is asked for that the dataset lacks.
    """
    folder = SAMPLE if source is None else source
    found, digest = _find(folder, options)
    target = build / f"dataset-{digest}"

    def make() -> None:
        with new_folder(target) as temporary:
            converted = _converted(found, folder, temporary, options, on_progress, workers)
            dataset_format.write_description(temporary, converted.description)
            write_account(temporary, converted.account)
            if converted.preparation:
                write_preparation(temporary, converted.preparation)

    build_once(target, digest, make)
    for line in read_account(target).told:
        (on_warning or _warn)(line)
    return target


def look_at(
    source: Path | None,
    options: ConvertOptions = ConvertOptions(),
    on_progress: OnProgress | None = None,
    workers: int | None = None,
) -> Converted:
    """What `convert` would make and say; reads every image and writes nothing.

    Raises:
      DatasetError, UsageError: as `convert`.
    """
    folder = SAMPLE if source is None else source
    found, _ = _find(folder, options)
    return _converted(found, folder, None, options, on_progress, workers)


def find_in(folder: Path, wanted: Sequence[str] | None) -> Found:
    """What is in a folder.

    Args:
      folder: the dataset's.
      wanted: the classes that were asked for, as `Layout.find` takes them.

    Raises:
      DatasetError, UsageError: as `convert`.
    """
    if not folder.exists():
        raise DatasetError(f"the data {folder} does not exist: give --data a folder, or a file, that holds the dataset")
    with _readable(folder):
        return find(folder, wanted)


def _find(folder: Path, options: ConvertOptions) -> tuple[Found, str]:
    """What is in a folder, and a digest of all that decides the dataset."""
    found = find_in(folder, options.classes)
    asked = {
        "--target-column": options.target_column,
        "--group-column": options.group_column,
        "--categories embedded, or the recipe's,": options.categories != ConvertOptions.categories,
    }
    wrong = [option for option, value in asked.items() if value]
    if wrong and not found.has_columns:
        raise UsageError(f"{wrong[0]} belongs to tables, {folder} is none: leave it out")
    with _readable(folder):
        return found, _digest(found, options)


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatasetError(f"{error.filename or folder}: {error.strerror}: make {folder} readable") from error


def _converted(
    found: Found,
    source: Path,
    folder: Path | None,
    options: ConvertOptions,
    on_progress: OnProgress | None,
    workers: int | None,
) -> Converted:
    name = options.name or found.name or readable(source.resolve().name)
    conversion = Conversion(
        name,
        options.seed,
        options.background,
        workers,
        on_progress or _no_progress,
        options.target_column,
        options.group_column,
        options.categories,
    )
    converted = found.write(folder, conversion)
    told = (*found.told, *converted.account.told)
    return replace(converted, account=replace(converted.account, told=told))


def _digest(found: Found, options: ConvertOptions) -> str:
    content = [VERSION, asdict(options), found.classes, [_state(path) for path in found.inputs]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _state(path: Path) -> tuple[str, int, int]:
    """Name, size in bytes and time in ns of a file; a missing one, and a link that leads nowhere, have neither."""
    try:
        stat = path.stat()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        return str(path.absolute()), -1, -1
    return str(path.resolve()), stat.st_size, stat.st_mtime_ns


def _no_progress(done: int, total: int) -> None:
    """Nobody looks."""


def _warn(line: str) -> None:
    print(f"warning: {line}", file=sys.stderr, flush=True)
