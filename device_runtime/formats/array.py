"""Arrays on disk, numpy's .npy, of which single rows are read where they lie."""

from __future__ import annotations

import math
import os
import tokenize
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from device_runtime.formats.errors import FormatError

# Of a header, which holds a type and a shape.
_MOST_HEADER = 2**16

# What numpy's reader makes of headers that are none.
_REFUSED = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError, tokenize.TokenError)


class ArrayFile:
    """An open .npy file of one of a dataset's types, row by row.

    Attributes:
      dtype, shape: of the array; the first axis counts the rows.
    """

    def __init__(self, path: Path) -> None:
        """Opens a file.

        Raises:
          FormatError: it is missing, damaged, or of objects.
        """
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise FormatError(f"{path}: {error.strerror}; convert the dataset again") from error
        try:
            self.shape, self.dtype = _header(self._file)
        except _REFUSED as error:
            self._file.close()
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise FormatError(f"{path} is no array that can be read ({reason}): convert the dataset again") from error
        self._path = path
        self._begin = self._file.tell()
        self._row = math.prod(self.shape[1:]) * self.dtype.itemsize
        size = os.fstat(self._file.fileno()).st_size
        if size != self._begin + self.shape[0] * self._row:
            self._file.close()
            raise FormatError(f"{path} has {size} bytes, its header says otherwise: convert the dataset again")

    def rows(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """The rows at `indices`, one after another.

        Raises:
          FormatError: the file was cut.
          IndexError: there is no such row.
        """
        if len(indices) and not 0 <= indices.min() <= indices.max() < self.shape[0]:
            raise IndexError(f"row {indices.min()} or {indices.max()} of {self.shape[0]}")
        rows = np.empty((len(indices), *self.shape[1:]), self.dtype)
        for view, index in zip(rows.reshape(len(indices), -1), indices.tolist(), strict=True):
            content = os.pread(self._file.fileno(), self._row, self._begin + index * self._row)
            if len(content) != self._row:
                raise FormatError(f"{self._path} was cut: convert the dataset again")
            view[:] = np.frombuffer(content, self.dtype)
        return rows


def _header(file: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type that a file's header says; the file stands behind it then."""
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"version {version}")
    shape, fortran, dtype = read(file, max_header_size=_MOST_HEADER)
    if fortran and len(shape) > 1:
        raise ValueError("it is stored column by column")
    if dtype.hasobject or dtype.kind not in "iuf" or not dtype.isnative:
        raise ValueError(f"numbers of type {dtype}")
    if not shape or min(shape) < 0 or math.prod(shape) * dtype.itemsize > 2**62:
        raise ValueError(f"shape {shape}")
    return shape, dtype
