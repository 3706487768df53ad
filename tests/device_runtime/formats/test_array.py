"""Arrays on disk are read row by row, and nothing of a damaged one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from device_runtime.formats.array import ArrayFile
from device_runtime.formats.errors import FormatError


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "int64", "float16", "float32"])
def test_rows_are_what_was_written(dtype: str, tmp_path: Path) -> None:
    values = np.arange(5 * 2 * 3).reshape(5, 2, 3).astype(dtype)
    np.save(tmp_path / "x.npy", values)
    file = ArrayFile(tmp_path / "x.npy")
    assert (file.shape, file.dtype) == ((5, 2, 3), values.dtype)
    np.testing.assert_array_equal(file.rows(np.array([4, 0, 4])), values[[4, 0, 4]])
    with pytest.raises(IndexError):
        file.rows(np.array([5]))
    with pytest.raises(IndexError):
        file.rows(np.array([-1]))


def _cut(content: bytes) -> bytes:
    return content[:-1]


def _longer(content: bytes) -> bytes:
    return content + b"\0"


def _headless(content: bytes) -> bytes:
    return content[:20]


def _huge(content: bytes) -> bytes:
    return content.replace(b"(5, 2), ", b"(99999999999, 2), ").replace(b"         \n", b"\n")


@pytest.mark.parametrize("damage", [_cut, _longer, _headless, _huge, lambda content: b"", lambda content: content[1:]])
def test_a_damaged_file_is_refused_by_name(damage: object, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((5, 2), np.float32))
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(FormatError, match=r"x\.npy"):
        ArrayFile(path)


@pytest.mark.parametrize(
    "values", [np.array([{}]), np.zeros(3, "M8[s]"), np.zeros(3, complex), np.asfortranarray(np.ones((2, 2)))]
)
def test_what_no_dataset_has_is_refused(
    values: np.ndarray[tuple[int, ...], np.dtype[np.generic]], tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(FormatError, match="no array that can be read"):
        ArrayFile(tmp_path / "x.npy")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="convert the dataset again"):
        ArrayFile(tmp_path / "x.npy")
