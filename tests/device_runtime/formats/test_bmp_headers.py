"""Headers of other programs, and headers that lie: read right, or refused in one line that names the file."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from device_runtime.formats.bmp import BmpFile, write_bmp
from device_runtime.formats.errors import FormatError


def whole(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    file = BmpFile(path)
    return file.read(0, file.shape[0])


def images(channels: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """One random image, uint8, 1×3×6×C."""
    return np.random.default_rng(0).integers(0, 256, (1, 3, 6, channels), np.uint8)


@pytest.mark.parametrize("info_size", [108, 124])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_longer_headers_of_other_programs_are_read(tmp_path: Path, info_size: int, channels: int) -> None:
    write_bmp(tmp_path / "a.bmp", images(channels))
    content = bytearray((tmp_path / "a.bmp").read_bytes())
    content[54:54] = bytes(info_size - 40)
    offset = struct.unpack_from("<I", content, 10)[0]
    struct.pack_into("<I", content, 10, offset + info_size - 40)
    struct.pack_into("<I", content, 14, info_size)
    (tmp_path / "a.bmp").write_bytes(content)
    assert np.array_equal(whole(tmp_path / "a.bmp")[..., ::-1], images(channels)[0])


@pytest.mark.parametrize("kept", [0, 1, 20, 53, 54, 100, 1077, 1078, 1090])
def test_a_file_cut_short_anywhere_is_named(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "cut.bmp"
    write_bmp(path, images(1))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(FormatError, match=r"cut\.bmp"):
        BmpFile(path)


@pytest.mark.parametrize(
    ("offset", "layout", "value", "message"),
    [
        (28, "<H", 4, "4 bits"),
        (28, "<H", 32, "32 bits"),
        (30, "<I", 1, "compression 1"),
        (14, "<I", 12, "only plain"),
        (18, "<i", 0, "only plain"),
        (22, "<i", 0, "only plain"),
        (0, "<H", 0, "not a BMP"),
        (54 + 4 * 7, "<B", 200, "palette of colours"),
        (18, "<i", 2**31 - 1, "cut short"),
        (10, "<I", 2**32 - 1, "cut short"),
        (10, "<I", 0, "inside its header"),
        (10, "<I", 53, "inside its header"),
    ],
)
def test_what_is_not_plain_is_refused(tmp_path: Path, offset: int, layout: str, value: int, message: str) -> None:
    path = tmp_path / "odd.bmp"
    write_bmp(path, images(1))
    content = bytearray(path.read_bytes())
    struct.pack_into(layout, content, offset, value)
    path.write_bytes(content)
    with pytest.raises(FormatError, match=message) as caught:
        BmpFile(path)
    assert "odd.bmp" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_strip_beyond_a_bmps_limit_is_refused(tmp_path: Path) -> None:
    # Nothing is allocated: one pixel, seen four thousand million times.
    endless = np.broadcast_to(np.zeros((1, 1, 1, 1), np.uint8), (2**16, 2**8, 2**8, 1))
    with pytest.raises(FormatError, match=r"endless\.bmp would have 4,294,968,374 bytes"):
        write_bmp(tmp_path / "endless.bmp", endless)
    assert not list(tmp_path.iterdir())
