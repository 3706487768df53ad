"""Uncompressed BMP, whose rows are read where they are asked for: 8 bit with a grey palette, or 24 bit.

A file holds one image or a strip of images of equal size stacked top-down. Format: Microsoft, "Bitmap Storage"
(BITMAPFILEHEADER and BITMAPINFOHEADER).
"""

from __future__ import annotations

import os
import struct
import weakref
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from device_runtime.formats.errors import FormatError

_FILE_HEADER = struct.Struct("<2sIHHI")
_INFO_HEADER = struct.Struct("<IiiHHIIiiII")
_HEADERS = _FILE_HEADER.size + _INFO_HEADER.size
_PIXELS_PER_METRE = 2835
# BITMAPV5HEADER has 124 bytes; the palette follows it.
_LONGEST_HEAD = _FILE_HEADER.size + 124 + 4 * 256
_GREY_PALETTE = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 4, axis=1) * np.array([1, 1, 1, 0], np.uint8)


def write_bmp(path: Path, images: npt.NDArray[np.uint8]) -> None:
    """Writes images as one top-down strip.

    Args:
      path: the file to write.
      images: uint8, N×H×W×1 (grey) or N×H×W×3 (RGB).

    Raises:
      FormatError: the strip is too large for the 32-bit numbers of a BMP header.
    """
    count, height, width, channels = images.shape
    stride = _stride(width, channels)
    palette = _GREY_PALETTE.tobytes() if channels == 1 else b""
    offset = _HEADERS + len(palette)
    size = stride * height * count
    if offset + size >= 2**32 or max(width, height * count) >= 2**31:
        raise FormatError(f"{path} would have {offset + size:,} bytes: a BMP holds less than 4 GiB; use fewer images")
    pixels = np.zeros((count * height, stride), np.uint8)
    pixels[:, : width * channels] = images[..., ::-1].reshape(count * height, width * channels)
    with path.open("wb") as file:
        file.write(_FILE_HEADER.pack(b"BM", offset + size, 0, 0, offset))
        # A negative height says that the first row is the top one.
        file.write(
            _INFO_HEADER.pack(
                40, width, -height * count, 1, 8 * channels, 0, size, _PIXELS_PER_METRE, _PIXELS_PER_METRE, 0, 0
            )
        )
        file.write(palette)
        file.write(pixels.data)


class BmpFile:
    """An open file of `rows` rows, `width` pixels and `channels` channels (1 grey, 3 blue-green-red).

    Not memory-mapped: pages of a mapping count as this process's memory, and reading an image is no slower.
    """

    def __init__(self, path: Path) -> None:
        """Opens a file.

        Raises:
          FormatError: it is not an uncompressed BMP of 8 grey or 24 bits, or it is cut short.
        """
        try:
            self._descriptor = os.open(path, os.O_RDONLY)
            weakref.finalize(self, os.close, self._descriptor)
            head, size = os.pread(self._descriptor, _LONGEST_HEAD, 0), os.fstat(self._descriptor).st_size
        except OSError as error:
            raise FormatError(f"{path}: {error.strerror}; convert the dataset again") from error
        self._layout = _layout(path, head, size)
        self.shape = (self._layout.rows, self._layout.width, self._layout.channels)
        self._path = path

    def read(self, first: int, count: int) -> npt.NDArray[np.uint8]:
        """Rows `first` to `first + count` from the top: uint8, count × width × channels."""
        layout = self._layout
        stored = layout.rows - first - count if layout.bottom_up else first
        content = os.pread(self._descriptor, count * layout.stride, layout.offset + stored * layout.stride)
        if len(content) < count * layout.stride:
            raise FormatError(f"{self._path} became shorter while it was read; convert the dataset again")
        rows = np.frombuffer(content, np.uint8).reshape(count, layout.stride)
        pixels = rows[:, : layout.width * layout.channels].reshape(count, layout.width, layout.channels)
        return pixels[::-1] if layout.bottom_up else pixels


@dataclass(frozen=True)
class _Layout:
    """Where the pixels are: from byte `offset` on `rows` rows of `stride` bytes."""

    offset: int
    stride: int
    rows: int
    width: int
    channels: int
    bottom_up: bool


def _layout(path: Path, head: bytes, size: int) -> _Layout:
    if len(head) < _HEADERS or head[:2] != b"BM":
        raise FormatError(f"{path} is not a BMP file; convert the dataset again")
    offset = _FILE_HEADER.unpack_from(head)[4]
    info_size, width, height, _, bits, compression, *_ = _INFO_HEADER.unpack_from(head, _FILE_HEADER.size)
    if info_size < _INFO_HEADER.size or compression != 0 or bits not in (8, 24) or width <= 0 or height == 0:
        raise FormatError(
            f"{path} is a BMP of {bits} bits, compression {compression}: only plain 8 and 24 bits are read"
        )
    channels = bits // 8
    if offset < _FILE_HEADER.size + info_size:
        raise FormatError(f"{path} is damaged: its pixels begin inside its header; convert the dataset again")
    palette = head[_FILE_HEADER.size + info_size :][: _GREY_PALETTE.size]
    if channels == 1 and palette != _GREY_PALETTE.tobytes():
        raise FormatError(f"{path} is a BMP with a palette of colours: only the grey palette is read")
    stride, rows = _stride(width, channels), abs(height)
    if size < offset + stride * rows:
        raise FormatError(f"{path} is cut short: {size} of {offset + stride * rows} bytes; convert the dataset again")
    return _Layout(offset, stride, rows, width, channels, bottom_up=height > 0)


def _stride(width: int, channels: int) -> int:
    """Bytes of a row: a multiple of four."""
    return (width * channels + 3) // 4 * 4
