"""Uncompressed BMP, whose pixel array is memory-mapped: 8 bit with a grey palette, or 24 bit.

A file holds one image or a strip of images of equal size stacked top-down. Format: Microsoft, "Bitmap Storage"
(BITMAPFILEHEADER and BITMAPINFOHEADER).
"""

from __future__ import annotations

import struct
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
    """
    count, height, width, channels = images.shape
    stride = _stride(width, channels)
    palette = _GREY_PALETTE.tobytes() if channels == 1 else b""
    offset = _HEADERS + len(palette)
    size = stride * height * count
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


def map_bmp(path: Path) -> npt.NDArray[np.uint8]:
    """The pixels of a file, memory-mapped: uint8, rows × width × channels (1 grey, 3 blue-green-red), top row first.

    Raises:
      FormatError: it is not an uncompressed BMP of 8 grey or 24 bits, or it is cut short.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_LONGEST_HEAD)
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}; convert the dataset again") from error
    if len(head) < _HEADERS or head[:2] != b"BM":
        raise FormatError(f"{path} is not a BMP file; convert the dataset again")
    offset = _FILE_HEADER.unpack_from(head)[4]
    info_size, width, height, _, bits, compression, *_ = _INFO_HEADER.unpack_from(head, _FILE_HEADER.size)
    if info_size < _INFO_HEADER.size or compression != 0 or bits not in (8, 24) or width <= 0 or height == 0:
        raise FormatError(
            f"{path} is a BMP of {bits} bits, compression {compression}: only plain 8 and 24 bits are read"
        )
    channels = bits // 8
    palette = head[_FILE_HEADER.size + info_size :][: _GREY_PALETTE.size]
    if channels == 1 and palette != _GREY_PALETTE.tobytes():
        raise FormatError(f"{path} is a BMP with a palette of colours: only the grey palette is read")
    stride, rows = _stride(width, channels), abs(height)
    if size < offset + stride * rows:
        raise FormatError(f"{path} is cut short: {size} of {offset + stride * rows} bytes; convert the dataset again")
    mapped = np.memmap(path, np.uint8, mode="r", offset=offset, shape=(rows, stride))
    pixels = (
        mapped[:, : width * channels].reshape(rows, width, channels)
        if stride == width * channels
        else (np.lib.stride_tricks.as_strided(mapped, (rows, width, channels), (stride, channels, 1), writeable=False))
    )
    return pixels[::-1] if height > 0 else pixels


def _stride(width: int, channels: int) -> int:
    """Bytes of a row: a multiple of four."""
    return (width * channels + 3) // 4 * 4
