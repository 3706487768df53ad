"""A pickle gives arrays and lists, and runs nothing."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.datasets.arrays.pickles import array_of, read_pickle
from pipeline.errors import DatasetError
from tests.pipeline.datasets.cifar import images, of_python_2, read_by_numpy

PIXELS, LABELS = images(10, 1)

HARMFUL = {
    "a function of Python's": b"cbuiltins\neval\n(S'1'\ntR.",
    "an array's neighbour": b"cnumpy.core.multiarray\nfromfile\n.",
    "what numpy's own modules import": b"\x80\x04\x8c\x05numpy\x8c\x10testing.runstring\x93.",
    "an attribute of what is known": b"\x80\x04\x8c\x05numpy\x8c\x14ndarray.__subclasses__\x93.",
    "an extension's code": b"\x80\x02\x82\x01.",
    "a persistent name": b"Pos.system\n.",
    "a state for what is known": b"cnumpy\ndtype\n}S'__init__'\nI1\nsb.",
    "an instance of what is no class": b"(S'a'\no.",
}


@pytest.mark.parametrize("kind", HARMFUL)
def test_a_pickle_of_anything_else_is_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(HARMFUL[kind])
    with pytest.raises(DatasetError, match="download it again"):
        read_pickle(tmp_path / "a")


HUGE = {
    "a memo beyond all memory": b"\x80\x02K\x01r\xff\xff\xff\x7f.",
    "bytes that are not there": b"\x80\x04\x8e" + b"\xff\xff\xff\xff\xff\xff\xff\x7f" + b".",
    "lists without end": b"(" * 100_000 + b".",
}


@pytest.mark.parametrize("kind", HUGE)
def test_a_pickle_that_asks_for_much_gets_little(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(HUGE[kind])
    try:
        assert read_pickle(tmp_path / "a") == 1
    except DatasetError as error:
        assert "is a damaged pickle" in str(error)


@pytest.mark.parametrize("cut", [0, 1, 2, 60, 200, 3000, -1])
def test_a_pickle_cut_short_is_one_line(cut: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(of_python_2({"data": PIXELS, "labels": LABELS.tolist()})[:cut])
    with pytest.raises(DatasetError, match="download it again"):
        read_pickle(tmp_path / "a")


ARRAYS = (
    PIXELS,
    np.asfortranarray(PIXELS[:3, :5]),
    np.arange(6, dtype=">i4").reshape(1, 2, 3),
    np.array([1.5, -2.25], np.float32),
    np.zeros((0, 4), np.uint8),
    np.array([True, False]),
)


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_an_array_is_what_numpy_reads(array: np.ndarray, tmp_path: Path) -> None:
    of_2 = of_python_2([np.ascontiguousarray(array)])
    np.testing.assert_array_equal(read_by_numpy(of_2)[0], array)  # type: ignore[index]
    for number, content in enumerate([of_2, pickle.dumps([array], 4), pickle.dumps([array], 3)]):
        path = tmp_path / str(number)
        path.write_bytes(content)
        value: Any = read_pickle(path)
        read = array_of(value[0], path)
        assert read.dtype == array.dtype
        np.testing.assert_array_equal(read, array)


WRONG = {
    "of objects": (pickle.dumps([np.array([None, "a"], object)], 4), "an array of objects"),
    "of texts": (pickle.dumps([np.array(["a"])], 4), "an array of type <U1"),
    "with fields": (pickle.dumps([np.zeros(1, [("a", "i4")])], 4), "an array of type"),
    "of another size": (of_python_2([PIXELS]).replace(b"J\x0a\0\0\0J\0\x0c", b"J\x0b\0\0\0J\0\x0c"), "30,720 bytes"),
    "without a state": (b"(cnumpy.core.multiarray\n_reconstruct\n(tRl.", "in place of an array"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_an_array_of_anything_else_is_refused(kind: str, tmp_path: Path) -> None:
    content, message = WRONG[kind]
    (tmp_path / "a").write_bytes(content)
    value: Any = read_pickle(tmp_path / "a")
    with pytest.raises(DatasetError, match=message):
        array_of(value[0], tmp_path / "a")
