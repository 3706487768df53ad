"""Pickles by people whom nobody knows: arrays of numbers, texts, bytes, numbers and lists, and nothing that runs."""

from __future__ import annotations

import io
import math
import pickle
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.errors import DatasetError, in_line, in_one_line

# CIFAR-100's has 150 MB.
_LARGEST = 2**30


class _Refused(Exception):
    """A pickle holds something else; the message says what."""


class _Type:
    """What stands for numpy's dtype: a text that is looked at before numpy sees it."""

    def __init__(self, text: object, *rest: object) -> None:
        self._text = _text_of(text)
        self._order = ""

    def __setstate__(self, state: tuple[object, ...]) -> None:
        # The version, the order of bytes, and what only types with fields or of texts have.
        self._order = _text_of(state[1]).replace("|", "")

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """The type of the numbers."""
        found = np.dtype(self._order + self._text)
        if found.kind not in "biuf":
            raise _Refused(f"an array of type {found}")
        return found


class _Array:
    """What stands for numpy's array: type, shape and bytes, of which one is made when it is asked for."""

    def __init__(self, *ignored: object) -> None:
        self._state: tuple[object, ...] = ()

    def __setstate__(self, state: tuple[object, ...]) -> None:
        self._state = state

    @property
    def numpy(self) -> npt.NDArray[np.generic]:
        """The array.

        Raises:
          ValueError, _Refused: it is not what it says, or of something else than numbers.
        """
        _, shape, dtype, fortran, content = self._state
        if isinstance(content, str):
            # Bytes of Python 2, which every pickle of CIFAR's holds, are texts to Python 3.
            content = content.encode("latin-1")
        if not isinstance(dtype, _Type) or not isinstance(content, bytes) or not isinstance(shape, tuple):
            raise _Refused("an array of objects")
        if not all(isinstance(size, int) and size >= 0 for size in shape):
            raise _Refused(f"an array of shape {shape}")
        if math.prod(shape) * dtype.numpy.itemsize != len(content):
            raise _Refused(f"an array of {len(content):,} bytes whose shape is {shape}")
        return np.frombuffer(content, dtype.numpy).reshape(shape, order="F" if fortran else "C")


# All that numpy's arrays name in a pickle; what was `core` in numpy 1 is `_core` in 2.
_KNOWN: dict[tuple[str, str], type] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
}


# Python's own reader, as that in C takes memory for as many memos as a file asks for.
class _Reader(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> type:
        """Nothing is imported: a pickle can call what is returned here, and nothing else."""
        if (module, name) not in _KNOWN:
            raise _Refused(f"{module}.{name}")
        return _KNOWN[module, name]


def read_pickle(path: Path) -> object:
    """What a pickle holds: dictionaries, lists, tuples, texts, bytes, numbers, and arrays of numbers.

    Texts of Python 2 are read as Latin-1. An array stands in it as what `array_of` takes.

    Raises:
      DatasetError: it is damaged, or holds anything else; nothing of it is run.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise DatasetError(f"{path} has more than {_LARGEST:,} bytes, which are more than are read at once")
        return _Reader(io.BytesIO(path.read_bytes()), encoding="latin-1").load()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror})") from error
    except _Refused as error:
        raise DatasetError(
            f"{path} holds {in_line(str(error))[:80]}, and not arrays and lists alone: it may run anything, and is not "
            "read; download it again"
        ) from error
    except DatasetError:
        raise
    # Whatever a stranger's bytes may do to a reader that asks nothing of them.
    except Exception as error:
        raise DatasetError(
            f"{path} is a damaged pickle ({in_line(in_one_line(error))[:80]}): download it again"
        ) from error


def array_of(value: object, path: Path) -> npt.NDArray[np.generic]:
    """An array of numbers that a pickle held.

    Raises:
      DatasetError: it is none.
    """
    try:
        if isinstance(value, _Array):
            return value.numpy
        raise _Refused("something else")
    except (_Refused, ValueError, TypeError, OverflowError) as error:
        raise DatasetError(
            f"{path} holds {in_line(str(error))[:80]} in place of an array of numbers: download it again"
        ) from error


def _text_of(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if not isinstance(value, str):
        raise _Refused("an array of no known type")
    return value
