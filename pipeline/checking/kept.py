"""Arrays that lie in a file: what is observed of a large network is several times as large as the network."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from pipeline.checking.observed import Array


class Kept(Mapping[str, Array]):
    """Arrays by name in a file without a name, read anew each time that one is asked for."""

    def __init__(self, folder: Path, arrays: Mapping[str, Array] | None = None) -> None:
        """`folder` is where there is room for the file; it is gone with the last reference to this."""
        # For as long as this lives.
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._places: dict[str, tuple[int, np.dtype[np.generic], tuple[int, ...]]] = {}
        for name, array in (arrays or {}).items():
            self.add(name, array)

    def add(self, name: str, array: Array) -> None:
        """Keeps an array; one under a name that is there already is added to it."""
        if name in self._places:
            array = self[name] + array
        self._places[name] = self._file.seek(0, 2), array.dtype, array.shape
        self._file.write(np.ascontiguousarray(array).data)

    def __getitem__(self, name: str) -> Array:
        offset, dtype, shape = self._places[name]
        self._file.seek(offset)
        content = self._file.read(dtype.itemsize * math.prod(shape))
        return np.frombuffer(content, dtype).reshape(shape)

    def __contains__(self, name: object) -> bool:
        # Without reading it.
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
