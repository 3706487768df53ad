"""A photograph in any common form → 224×224 RGB pixels."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

RESIZED, CROPPED = 256, 224

# 20,000 × 20,000 pixels are a photograph; beyond, a small file may unfold until memory is full.
MAX_PIXELS = 400_000_000

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

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF")


class BrokenImageError(Exception):
    """An image cannot be decoded; the message says why, without its name."""


def allow_large_images() -> None:
    """Raises Pillow's limit of this process to MAX_PIXELS."""
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS


def load_photograph(path: Path) -> npt.NDArray[np.uint8]:
    """Decodes an image: EXIF orientation obeyed, shorter side to 256 (bilinear, antialiased), its centre 224×224.

    Grey, palette and CMYK become RGB, 16 bits 8, and of an animation the first frame is taken. Transparency is
    dropped: a pixel keeps the colour that is stored.

    Returns:
      uint8, 224×224×3 (RGB).

    Raises:
      BrokenImageError: the file is missing, empty, cut short, no image or too large.
    """
    try:
        with warnings.catch_warnings():
            # Odd palettes and records are warned of without the file's name: nobody could act on it.
            warnings.simplefilter("ignore")
            # Between the limit and twice the limit Pillow only warns.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as image:
                if image.format in ("JPEG", "MPO") and min(image.size) > _DRAFT:
                    image.draft(None, (_DRAFT, _DRAFT))
                # Before the EXIF record: reading that of a PNG loads the picture too, and its errors are passed over.
                image.load()
                return _centre(_upright(_plain(image), image))
    except UnidentifiedImageError as error:
        reason = "is no JPEG, PNG, BMP, WebP or GIF" if path.stat().st_size else "is empty"
        raise BrokenImageError(reason) from error
    except FileNotFoundError as error:
        raise BrokenImageError("is missing") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BrokenImageError(f"has more than {MAX_PIXELS:,} pixels") from error
    except Exception as error:  # Pillow's decoders raise errors of every kind at damaged files.
        text = " ".join(str(error).split()) or type(error).__name__
        raise BrokenImageError(f"cannot be decoded: {text}") from error


def _plain(image: Image.Image) -> Image.Image:
    """Grey or RGB of 8 bits; grey stays grey and RGB is not copied: a large one would take gigabytes."""
    if image.mode.startswith("I"):
        # Pillow would cut values above 255 instead of scaling them.
        scaled = (np.arange(65536) * 255 + 32767) // 65535
        return Image.fromarray(scaled.astype(np.uint8)[np.clip(np.asarray(image), 0, 65535)])
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _upright(pixels: Image.Image, image: Image.Image) -> Image.Image:
    """The pixels turned as the EXIF record of `image` says; a record that cannot be read says nothing."""
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # The picture is good even where its record is not.
        return pixels
    return pixels if turn is None else pixels.transpose(turn)


def _centre(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Resizes and crops in one: the same pixels, without ever holding the resized whole of a long, thin image."""
    width, height = image.size
    shorter = min(width, height)
    wide, high = RESIZED * width // shorter, RESIZED * height // shorter
    left, top = (wide - CROPPED) // 2, (high - CROPPED) // 2
    across, down = width / wide, height / high
    box = (left * across, top * down, (left + CROPPED) * across, (top + CROPPED) * down)
    return np.asarray(image.resize((CROPPED, CROPPED), Image.Resampling.BILINEAR, box=box).convert("RGB"))
