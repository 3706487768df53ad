"""numpy's arrays: an .npz file, or a folder of .npy files, with samples `x` and targets `y`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.datasets.arrays.reading import SUFFIX, Array, read_arrays, texts_of
from pipeline.datasets.arrays.samples import Table
from pipeline.datasets.arrays.writing import write_tables
from pipeline.datasets.layouts import Conversion, Found, Layout
from pipeline.datasets.photographs.account import Converted
from pipeline.datasets.photographs.split import SPLITS
from pipeline.datasets.photographs.walk import files_in
from pipeline.errors import DatasetError, UsageError, brief

_SAMPLES, _TARGETS, _GROUP = "x", "y", "group"

# Of all samples: what targets are, their names, the number of a position without a class.
_KIND, _NAMES, _IGNORE = "kind", "classes", "ignore"


def _find_arrays(source: Path, wanted: Sequence[str] | None) -> Found | None:
    inputs = [source] if source.is_file() else [path for path in files_in(source) if path.suffix.lower() == SUFFIX]
    if source.is_dir() and not any(path.stem.lower().split("_")[0] == _SAMPLES for path in inputs):
        return None
    if wanted:
        raise UsageError(f"--classes chooses folders of photographs, {source} holds arrays: leave other samples out")

    def write(folder: Path | None, conversion: Conversion) -> Converted:
        found = read_arrays(source, _is_known)
        arrays = found.read
        if not any(name.split("_")[0] == _SAMPLES for name in arrays):
            names = brief(sorted((*arrays, *found.left_out))) or "no array"
            raise DatasetError(f"{source} holds {names}: call the samples x, the targets y")
        tables = tables_of(arrays, source)
        told = [f"{name} is none of x, y, group, kind, classes and ignore, and was left out" for name in found.left_out]
        kind, ignore = texts_of(arrays, _KIND), arrays.get(_IGNORE)
        return write_tables(
            tables,
            kind[0] if kind else None,
            None if ignore is None else _number(ignore, source),
            texts_of(arrays, _NAMES),
            conversion.name,
            conversion.seed,
            folder,
            told,
        )

    return Found(tuple(inputs), write, (), source.stem)


def tables_of(arrays: Mapping[str, Array], source: Path) -> dict[str, Table]:
    """Samples and targets by split; those of no split are all to train on until they are split.

    Args:
      arrays: by their names in small letters.
      source: where they come from.

    Raises:
      DatasetError: samples have no targets, or come twice.
    """
    tables: dict[str, Table] = {}
    for name in sorted(arrays):
        word, split = _read_name(name)
        if word != _SAMPLES or split is None:
            continue
        rest = name[len(_SAMPLES) :]
        targets = arrays.get(f"{_TARGETS}{rest}")
        if targets is None or not targets.ndim:
            raise DatasetError(f"{source}: {name} has no targets, which are called {_TARGETS}{rest}")
        if split in tables:
            raise DatasetError(f"{source}: several arrays are for {split}: leave one")
        tables[split] = Table(arrays[name], targets, arrays.get(f"{_GROUP}{rest}"))
    return tables


def _read_name(name: str) -> tuple[str, str | None]:
    """`x_train` as x and train; a name without a split is of train, one of an unknown split of None."""
    word, _, split = name.partition("_")
    return word, SPLITS.get(split) if split else "train"


def _is_known(name: str) -> bool:
    word, split = _read_name(name)
    return name in (_KIND, _NAMES, _IGNORE) or (word in (_SAMPLES, _TARGETS, _GROUP) and split is not None)


def _number(array: Array, source: Path) -> int:
    if array.size != 1 or array.dtype.kind not in "iu":
        raise DatasetError(f"{source}: {_IGNORE} is one whole number")
    return int(array.reshape(-1)[0])


LAYOUT = Layout(
    "arrays: an .npz file, or .npy files, called x and y, or x_train, y_train, x_test, y_test and so on",
    photographs=False,
    find=_find_arrays,
    files=(".npz",),
)
