"""A picture in any common form → the pixels that a model takes: of photographs 224×224, RGB."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from pipeline.datasets.photographs.pixels import composed, is_deep, plain, shines_through
from pipeline.datasets.photographs.preparation import GREY, Preparation

RESIZED, CROPPED = 256, 224

PHOTOGRAPH = Preparation(CROPPED, CROPPED, RESIZED, RESIZED)

# 20,000 × 20,000 pixels are a photograph; beyond, a small file may unfold until memory is full.
MAX_PIXELS = 400_000_000

# Most memory that decoding one image may take, and what it takes for a pixel at its peak, by Pillow's mode: measured.
_MOST_BYTES = 2**30
_BYTES_OF_MODE = {"L": 1, "RGB": 4, "1": 6, "P": 6, "CMYK": 8, "YCbCr": 8}
_BYTES_OF_TRANSPARENT, _BYTES_OF_16_BITS, _BYTES_OF_OTHERS = 14, 14, 40
# Their libraries keep the picture several times, and a progressive JPEG all its coefficients.
_BYTES_OF_FORMAT = dict.fromkeys(("GIF", "WEBP", "AVIF", "HEIF", "JPEG2000"), 20)
_BYTES_OF_PROGRESSIVE = 6

# A JPEG with this shorter side is decoded at a fraction of its size: four times what resizing needs at least.
_DRAFT = 4 * RESIZED

# EXIF 2.32, tag 0x0112: what undoes each orientation; 1 is upright.
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "AVIF", "PPM", "JPEG2000")

# ISO/IEC 23008-12: `ftyp` and the brand of a file whose pictures are HEVC.
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Photograph:
    """An image as the device takes it, and what the file was.

    Attributes:
      pixels: uint8, height×width×channels.
      width: of the file's image, in pixels as they are stored.
      height: likewise.
      transparent: whether the background shone through.
      peak: the largest number of a grey image of 16 bits; None of any other.
    """

    pixels: npt.NDArray[np.uint8]
    width: int
    height: int
    transparent: bool
    peak: int | None


class BrokenImageError(Exception):
    """An image cannot be decoded; the message says why, without its name."""


class MissingDecoderError(BrokenImageError):
    """An image is whole, but nothing that is installed decodes it."""


def allow_large_images() -> None:
    """Raises Pillow's limit of this process to MAX_PIXELS."""
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS


def load_photograph(path: Path, preparation: Preparation = PHOTOGRAPH) -> npt.NDArray[np.uint8]:
    """The pixels alone of `read_photograph`."""
    return read_photograph(path, preparation).pixels


def read_photograph(path: Path, preparation: Preparation = PHOTOGRAPH) -> Photograph:
    """Decodes an image: EXIF orientation obeyed, scaled and its centre cut out as `preparation` says.

    Of a photograph that is the shorter side to 256 (bilinear, antialiased), and the centre 224×224.

    Of an animation, and of a file of several pages, the first is taken. What becomes of other pixels than RGB of 8 bits
    `plain` says.

    Args:
      path: a file of any suffix.
      preparation: what becomes of it.

    Raises:
      BrokenImageError: the file is missing, empty, cut short, a pipe or a device, no image or too large.
      MissingDecoderError: it is HEIC, and pillow-heif is not installed.
    """
    try:
        with warnings.catch_warnings():
            # Odd palettes and records are warned of without the file's name: nobody could act on it.
            warnings.simplefilter("ignore")
            # Between the limit and twice the limit Pillow only warns.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with _opened(path) as image:
                return _read(image, preparation)
    except BrokenImageError:
        raise
    except UnidentifiedImageError as error:
        raise BrokenImageError(_what_it_is_not(path)) from error
    except FileNotFoundError as error:
        raise BrokenImageError("is missing") from error
    except IsADirectoryError as error:
        raise BrokenImageError("is a folder") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BrokenImageError(f"has more than {MAX_PIXELS:,} pixels") from error
    except Exception as error:  # Pillow's decoders raise errors of every kind at damaged files.
        text = " ".join(str(error).split()) or type(error).__name__
        raise BrokenImageError(f"cannot be decoded: {text}") from error


def _opened(path: Path) -> Image.Image:
    if path.exists() and not path.is_file() and not path.is_dir():
        # Opening a pipe would wait for somebody to write into it.
        raise BrokenImageError("is a pipe or a device, no file")
    # Nothing in a TGA says that it is one, so only its suffix can.
    formats = (*_FORMATS, "TGA") if path.suffix.lower() == ".tga" else _FORMATS
    try:
        return Image.open(path, formats=formats)
    except UnidentifiedImageError:
        with path.open("rb") as file:
            head = file.read(12)
        if head[4:8] != b"ftyp" or head[8:] not in _HEIF_BRANDS:
            raise
    try:
        from pillow_heif import register_heif_opener
    except ModuleNotFoundError as error:
        raise MissingDecoderError("is HEIC, which `pip install pillow-heif` lets this read") from error
    register_heif_opener()
    return Image.open(path, formats=("HEIF",))


def _what_it_is_not(path: Path) -> str:
    return "is no JPEG, PNG, BMP, GIF, WebP, TIFF, AVIF, HEIC, PNM or JPEG 2000" if path.stat().st_size else "is empty"


def _read(image: Image.Image, preparation: Preparation) -> Photograph:
    width, height = image.size
    if image.format in ("JPEG", "MPO") and min(image.size) > _DRAFT:
        image.draft(None, (_DRAFT, _DRAFT))
    _refuse_bomb(image, width * height)
    # Before the EXIF record: reading that of a PNG loads the picture too, and its errors are passed over.
    image.load()
    peak = int(np.asarray(image).max()) if is_deep(image) else None
    pixels = plain(image, preparation.white)
    transparent = shines_through(pixels)
    red, green, blue = preparation.background
    upright = _upright(composed(pixels, (red, green, blue)), image)
    return Photograph(_centre(upright, preparation), width, height, transparent, peak)


def _refuse_bomb(image: Image.Image, stored: int) -> None:
    """Refuses a file that would unfold to more than memory should take; a small one may hold a million times its size.

    Args:
      image: one that is open and not yet decoded, drafted where it can be.
      stored: pixels of the file.
    """
    pixel = max(_bytes_of_pixel(image), _BYTES_OF_FORMAT.get(image.format or "", 0))
    needed = image.width * image.height * pixel
    if image.info.get("progressive"):
        needed += stored * _BYTES_OF_PROGRESSIVE
    if needed > _MOST_BYTES:
        raise BrokenImageError(f"has {stored:,} pixels, whose decoding would take more than 1 GiB of memory")


def _bytes_of_pixel(image: Image.Image) -> int:
    transparent = _BYTES_OF_TRANSPARENT if image.has_transparency_data else 0
    if is_deep(image):
        return _BYTES_OF_16_BITS + transparent
    return transparent or _BYTES_OF_MODE.get(image.mode, _BYTES_OF_OTHERS)


def _upright(pixels: Image.Image, image: Image.Image) -> Image.Image:
    """The pixels turned as the EXIF record of `image` says; a record that cannot be read says nothing."""
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # The picture is good even where its record is not.
        return pixels
    return pixels if turn is None else pixels.transpose(turn)


def _centre(image: Image.Image, preparation: Preparation) -> npt.NDArray[np.uint8]:
    """Resizes and crops in one: the same pixels, without ever holding the resized whole of a long, thin image."""
    if preparation.mode == GREY:
        # Before it is resized, as one would do it by hand: after it the numbers would be others by rounding.
        image = image.convert(GREY)
    width, height = image.size
    wide, high = _covering(width, height, preparation)
    left, top = (wide - preparation.width) // 2, (high - preparation.height) // 2
    across, down = width / wide, height / high
    box = (left * across, top * down, (left + preparation.width) * across, (top + preparation.height) * down)
    size = (preparation.width, preparation.height)
    part = image.resize(size, Image.Resampling.BILINEAR, box=box).convert(preparation.mode)
    return np.asarray(part).reshape(preparation.shape)


def _covering(width: int, height: int, preparation: Preparation) -> tuple[int, int]:
    """Width and height of the smallest picture of these proportions that covers what is asked for."""
    least_wide, least_high = preparation.resize_width, preparation.resize_height
    if least_high * width >= least_wide * height:
        return least_high * width // height, least_high
    return least_wide, least_wide * height // width
