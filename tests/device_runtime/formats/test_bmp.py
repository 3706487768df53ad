"""BMP strips are read as they were written, by us and by Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from device_runtime.formats.bmp import BmpFile, write_bmp
from device_runtime.formats.errors import FormatError


def whole(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    file = BmpFile(path)
    return file.read(0, file.shape[0])


def images(count: int, height: int, width: int, channels: int) -> np.ndarray:
    return np.random.default_rng(width).integers(0, 256, (count, height, width, channels), np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 28])
def test_a_strip_comes_back_and_others_can_read_it(width: int, channels: int, tmp_path: Path) -> None:
    written = images(3, 4, width, channels)
    write_bmp(tmp_path / "strip.bmp", written)
    np.testing.assert_array_equal(whole(tmp_path / "strip.bmp")[..., ::-1].reshape(written.shape), written)
    opened = np.asarray(Image.open(tmp_path / "strip.bmp").convert("L" if channels == 1 else "RGB"))
    np.testing.assert_array_equal(opened.reshape(written.shape), written)


def test_an_ordinary_bottom_up_file_is_read(tmp_path: Path) -> None:
    written = images(1, 5, 7, 3)[0]
    Image.fromarray(written).save(tmp_path / "image.bmp")
    np.testing.assert_array_equal(whole(tmp_path / "image.bmp")[..., ::-1], written)


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    write_bmp(tmp_path / "strip.bmp", images(2, 4, 4, 1))
    (tmp_path / "strip.bmp").write_bytes((tmp_path / "strip.bmp").read_bytes()[:-1])
    with pytest.raises(FormatError, match="is cut short"):
        BmpFile(tmp_path / "strip.bmp")


def test_a_palette_of_colours_is_refused(tmp_path: Path) -> None:
    Image.fromarray(images(1, 4, 4, 3)[0]).convert("P").save(tmp_path / "colours.bmp")
    with pytest.raises(FormatError, match="palette of colours"):
        BmpFile(tmp_path / "colours.bmp")


@pytest.mark.parametrize("content", [b"", b"BM", b"P5 something else that is no bitmap" * 10])
def test_something_else_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file.bmp").write_bytes(content)
    with pytest.raises(FormatError, match="is not a BMP file"):
        BmpFile(tmp_path / "file.bmp")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"no\.bmp"):
        BmpFile(tmp_path / "no.bmp")


def test_rows_in_the_middle_are_read_alone(tmp_path: Path) -> None:
    written = images(1, 5, 7, 3)[0]
    Image.fromarray(written).save(tmp_path / "bottom_up.bmp")
    write_bmp(tmp_path / "top_down.bmp", written[None])
    for name in ("bottom_up.bmp", "top_down.bmp"):
        np.testing.assert_array_equal(BmpFile(tmp_path / name).read(1, 2)[..., ::-1], written[1:3])


def test_a_file_that_shrinks_while_it_is_open_is_an_error(tmp_path: Path) -> None:
    write_bmp(tmp_path / "a.bmp", images(2, 4, 4, 1))
    file = BmpFile(tmp_path / "a.bmp")
    (tmp_path / "a.bmp").write_bytes(b"")
    with pytest.raises(FormatError, match=r"a\.bmp became shorter"):
        file.read(0, 4)
