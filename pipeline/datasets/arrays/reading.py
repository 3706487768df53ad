"""numpy's files by people whom nobody knows: arrays of numbers or texts, and nothing that runs."""

from __future__ import annotations

import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import DatasetError, in_line, in_one_line

Array = npt.NDArray[Any]

# Of a header: of one array's type and shape.
_MOST_HEADER = 2**16

# What numpy's reader makes of headers that are none.
_REFUSED = (
    *(ValueError, SyntaxError, TypeError, RecursionError, EOFError, OverflowError),
    *(struct.error, tokenize.TokenError),
)


def read_arrays(source: Path) -> dict[str, Array]:
    """The arrays of an .npz file, or of a folder's .npy files, by their names.

    Raises:
      DatasetError: one is damaged, holds objects, or says that it is larger than its file.
    """
    if source.is_dir():
        return {path.stem: _read_file(path) for path in sorted(source.glob("*.npy"))}
    try:
        with zipfile.ZipFile(source) as archive:
            return {
                info.filename.removesuffix(".npy"): _read_entry(archive, info, source)
                for info in archive.infolist()
                if info.filename.endswith(".npy")
            }
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise DatasetError(f"{source} is no .npz that can be read ({in_one_line(error)}): save it again") from error


def _read_file(path: Path) -> Array:
    with path.open("rb") as file:
        return _read(file, path.stat().st_size, str(path))


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
        raise ValueError("it holds Python objects, perhaps rows of different lengths, and they may run anything")
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
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
