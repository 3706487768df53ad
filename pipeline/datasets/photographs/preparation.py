"""How a picture becomes the pixels that a model takes: said once, by the dataset's conversion, and kept with both."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from device_runtime.formats.records import parse_object, typed
from pipeline.errors import in_line
from pipeline.files import read_converted

FILE_NAME = "preparation.json"

RGB, GREY = "RGB", "L"
CHANNELS = {RGB: 3, GREY: 1}

WHITE_16 = 65535

# No model takes larger ones, and a file from elsewhere is not to ask for all memory.
_LARGEST = 2**14


@dataclass(frozen=True)
class Preparation:
    """What is done to a picture, in this order, and what comes of it: uint8, height × width × channels.

    Attributes:
      white: of a grey picture of 16 bits, the number that becomes 255.
      background: RGB; what is transparent shows it.
      orientation: exif: the picture is turned as its EXIF record says.
      mode: Pillow's name of the colours: RGB, or L (grey).
      resize_height, resize_width: it is scaled, in its proportions, to the smallest size that covers these.
      filter: with which it is scaled: bilinear over all pixels that fall together (antialiased).
      height, width: of the middle part that is cut out then.
      layout: order of a batch's axes.
      dtype: of its numbers.
      normalised: where pixels are scaled and normalised: in the model, so not before.
    """

    height: int
    width: int
    resize_height: int
    resize_width: int
    mode: str = RGB
    background: tuple[int, ...] = (255, 255, 255)
    white: int = WHITE_16
    orientation: str = "exif"
    filter: str = "bilinear"
    layout: str = "NHWC"
    dtype: str = "uint8"
    normalised: str = "in the model"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the pixels."""
        return self.height, self.width, CHANNELS[self.mode]


def grey_of(height: int, width: int) -> Preparation:
    """That of datasets whose images come as grey pixels of one size: such a picture stays as it is."""
    # What lies around MNIST's digits is black.
    return Preparation(height, width, height, width, GREY, background=(0, 0, 0))


def text_of(preparation: Preparation) -> str:
    """As JSON."""
    return json.dumps(asdict(preparation))


def parse_preparation(text: str) -> Preparation:
    """Reads what `text_of` wrote.

    Raises:
      ValueError: it is damaged, or says what no model takes.
    """
    preparation: Preparation = typed(Preparation, parse_object(text))
    sizes = (preparation.height, preparation.width, preparation.resize_height, preparation.resize_width)
    if min(sizes) < 1 or max(sizes) > _LARGEST or preparation.mode not in CHANNELS:
        raise ValueError(f"pictures of {sizes}, {in_line(preparation.mode)}")
    if preparation.resize_height < preparation.height or preparation.resize_width < preparation.width:
        raise ValueError("a part is cut out that is larger than the picture")
    colour = preparation.background
    if (
        len(colour) != CHANNELS[RGB]
        or not 0 <= min(colour) <= max(colour) <= 255
        or not 0 < preparation.white <= WHITE_16
    ):
        raise ValueError("its colours are none")
    known = Preparation(1, 1, 1, 1)
    for name in ("orientation", "filter", "layout", "dtype", "normalised"):
        if getattr(preparation, name) != getattr(known, name):
            raise ValueError(f"{name} is {in_line(getattr(preparation, name))}, which this program does not know")
    return preparation


def write_preparation(folder: Path, preparation: Preparation) -> None:
    """Writes preparation.json beside dataset.json."""
    (folder / FILE_NAME).write_text(text_of(preparation) + "\n")


def read_preparation(folder: Path) -> Preparation:
    """Reads preparation.json.

    Raises:
      FormatError: it is missing or damaged.
    """
    return read_converted(folder / FILE_NAME, parse_preparation)
