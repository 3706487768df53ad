"""The pixels of an image of any form → 8 bits: grey, RGB, or RGBA where something may shine through."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.datasets.photographs.preparation import WHITE_16


def plain(image: Image.Image, white: int = WHITE_16) -> Image.Image:
    """The image in mode L, RGB or RGBA; one that is L or RGB is not copied: a large one would take gigabytes.

    Whole numbers of 16 bits are scaled from 0 to `white`; numbers of 32 bits, which have no white, from the least to
    the largest of the image, but floats that all lie in 0 to 1 from there.

    Args:
      image: one that is loaded.
      white: of a grey image of 16 bits, the number that becomes 255; larger ones are cut.

    Raises:
      ValueError: an image of floats holds no number.
    """
    if is_deep(image):
        grey = Image.fromarray(_scaled(np.clip(np.asarray(image), 0, white), 0, white))
        return _with_key(image, grey) if image.has_transparency_data else grey
    if image.mode in ("I", "F"):
        return Image.fromarray(_of_its_range(np.asarray(image, np.float64)))
    if image.has_transparency_data:
        key = image.info.get("transparency")
        if isinstance(key, tuple) and max(key) > 255:
            # Of 16 bits Pillow keeps the upper 8, but not of the key.
            image.info["transparency"] = tuple(part >> 8 for part in key)
        return image.convert("RGBA")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def is_deep(image: Image.Image) -> bool:
    """Whether it is grey of 16 bits: of those of 32, Pillow makes the deeper PGM files so, scaled to 65535."""
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")


def shines_through(image: Image.Image) -> bool:
    """Whether any pixel of a plain image is not opaque."""
    if image.mode != "RGBA":
        return False
    least = image.getchannel("A").getextrema()[0]
    return isinstance(least, int | float) and least < 255


def composed(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """A plain image on a background, in mode L or RGB."""
    if image.mode != "RGBA":
        return image
    whole = Image.new("RGB", image.size, background)
    whole.paste(image, mask=image)
    return whole


def _with_key(image: Image.Image, grey: Image.Image) -> Image.Image:
    """A grey image of 16 bits in which one number stands for nothing."""
    opaque = np.asarray(image) != image.info["transparency"]
    return Image.merge("LA", (grey, Image.fromarray(opaque.astype(np.uint8) * 255))).convert("RGBA")


def _of_its_range(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Scales what is a number; what is none becomes black, and an infinite one the end of the range."""
    known = numbers[np.isfinite(numbers)]
    if not known.size:
        raise ValueError("it holds no number")
    low, high = known.min(), known.max()
    if low >= 0 and high <= 1:
        low, high = 0, 1
    return _scaled(np.clip(np.nan_to_num(numbers, nan=low, posinf=high, neginf=low), low, high), low, high)


def _scaled(numbers: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[np.uint8]:
    """From low to high → 0 to 255, rounded; of a single number 0."""
    factor = 255 / (high - low) if high > low else 0
    return np.asarray((numbers.astype(np.float64) - low) * factor + 0.5).astype(np.uint8)
