"""numpy's files by people whom nobody knows: arrays of numbers or texts, and nothing that runs."""

from __future__ import annotations

import math
import struct
import tokenize
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from pipeline.datasets.photographs.walk import files_in
from pipeline.errors import DatasetError, brief, in_line, in_one_line

Array = npt.NDArray[Any]

# Of a header: of one array's type and shape.
_MOST_HEADER = 2**16

# What numpy's reader makes of headers that are none.
_REFUSED = (
    *(ValueError, SyntaxError, TypeError, RecursionError, EOFError, OverflowError),
    *(struct.error, tokenize.TokenError),
)


SUFFIX = ".npy"


@dataclass(frozen=True)
class Arrays:
    """What a file or a folder holds.

    Attributes:
      read: arrays by their names in small letters.
      left_out: names of the others, which may be anything.
    """

    read: dict[str, Array]
    left_out: tuple[str, ...]


def read_arrays(source: Path, is_wanted: Callable[[str], bool]) -> Arrays:
    """The arrays of an .npz file, or of a folder's .npy files.

    Args:
      source: the file or the folder.
      is_wanted: takes a name in small letters; what it does not want is not looked into.

    Raises:
      DatasetError: one is damaged, holds objects, or says that it is larger than its file, or two have one name.
    """
    if source.is_dir():
        files = [path for path in files_in(source) if path.suffix.lower() == SUFFIX]
        return _read_wanted({path.stem: partial(_read_file, path) for path in files}, source, is_wanted)
    try:
        with zipfile.ZipFile(source) as archive:
            entries = [info for info in archive.infolist() if info.filename.lower().endswith(SUFFIX)]
            return _read_wanted(
                {info.filename[: -len(SUFFIX)]: partial(_read_entry, archive, info, source) for info in entries},
                source,
                is_wanted,
            )
    except OSError as error:
        raise DatasetError(f"{source} cannot be read ({error.strerror})") from error
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise DatasetError(f"{source} is no .npz that can be read ({in_one_line(error)}): save it again") from error


def _read_wanted(readers: Mapping[str, Callable[[], Array]], source: Path, is_wanted: Callable[[str], bool]) -> Arrays:
    wanted = [name for name in sorted(readers) if is_wanted(name.lower())]
    twice = [name for name, count in Counter(map(str.lower, wanted)).items() if count > 1]
    if twice:
        raise DatasetError(f"{source}: several arrays are called {brief(twice)}, in small or large letters: leave one")
    left_out = tuple(in_line(name) for name in sorted(readers) if name not in wanted)
    return Arrays({name.lower(): readers[name]() for name in wanted}, left_out)


def _read_file(path: Path) -> Array:
    try:
        with path.open("rb") as file:
            return _read(file, path.stat().st_size, str(path))
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror})") from error


def _read_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, source: Path) -> Array:
    # numpy reads with seeks, which a compressed entry has by reading again.
    with archive.open(info) as file:
        return _read(file, info.file_size, f"{source}: {in_line(info.filename)}")


def _read(file: IO[bytes], size: int, name: str) -> Array:
    try:
        shape, fortran, dtype = _header(file)
        nbytes = math.prod(shape) * dtype.itemsize
        # A header that lies is found out by what there is, not by the memory that it asks for.
        if nbytes > size:
            raise ValueError(f"its header says {nbytes:,} bytes, there are {size:,}")
        content = file.read(nbytes)
        if len(content) < nbytes:
            raise ValueError(f"{len(content):,} of {nbytes:,} bytes")
        # A copy: it is to be changed, and what numpy makes of bytes is not.
        array = np.frombuffer(bytearray(content), dtype).reshape(shape, order="F" if fortran else "C")
        return np.ascontiguousarray(array).reshape(shape)
    except (*_REFUSED, zipfile.BadZipFile, zlib.error) as error:
        raise DatasetError(f"{name} is no array that can be read ({in_one_line(error)}): save it again") from error
    except MemoryError as error:
        raise DatasetError(f"{name} does not fit into this machine's memory: save it in parts of a folder") from error


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    # Version 3 has names of fields, which no array here has.
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"version {version}")
    shape, fortran, dtype = read(file, max_header_size=_MOST_HEADER)
    if dtype.hasobject:
        raise ValueError(
            "it holds Python objects, which may run anything: astype(str) makes texts of them, astype(float) numbers"
        )
    if dtype.fields or dtype.kind not in "biufUS":
        raise ValueError(f"it is of type {dtype}, not of numbers")
    if shape and min(shape) < 0:
        raise ValueError(f"its shape is {shape}")
    return shape, fortran, dtype


def texts_of(arrays: Mapping[str, Array], name: str) -> tuple[str, ...]:
    """An array of texts; () where there is none of that name."""
    if name not in arrays:
        return ()
    return tuple(map(text_of, arrays[name].reshape(-1).tolist()))


def text_of(value: object) -> str:
    """A value of an array of texts, or of bytes."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
