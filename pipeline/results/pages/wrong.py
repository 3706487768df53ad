"""Images that the model takes for another class, with what it says and what is true."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from device_runtime.formats.dataset import load_dataset
from device_runtime.formats.errors import FormatError
from pipeline.results.pages.drawing import figure, png_of, style
from pipeline.results.pages.names import short
from pipeline.results.pages.picture import Picture
from pipeline.results.records.results import Predicted

# Those it is surest of.
MOST = 24
# Pixels of a side; larger images are made smaller.
_LARGEST = 192
# Up to that its pixels are shown as squares.
_COARSE = 64
_COLUMNS, _LONGEST_NAME = 4, 13
# Inches of an image's place with what is said above it, and of the image's longer side.
_WIDE, _HIGH, _SIDE = 1.1, 1.35, 0.98

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Wrong:
    """One image; `probability` is that of the guess, and a photograph has more pixels than one can tell apart."""

    picture: Picture
    photograph: bool
    guess: str
    truth: str
    probability: float


def wrong_images(dataset: Path, predicted: Predicted, names: Sequence[str]) -> list[Wrong]:
    """The images of the dataset that the model is surest of and wrong about; none where its samples are no pictures.

    Raises:
      FormatError: the dataset is damaged, or another one.
    """
    predictions = predicted.predictions
    chosen = predictions.wrong()[:MOST]
    loaded = load_dataset(dataset)
    split = loaded.splits.get(predicted.split)
    if split is None or not np.array_equal(split.labels, predictions.labels):
        raise FormatError(f"{dataset} is not the dataset that was evaluated")
    if not loaded.description.sample.is_picture:
        return []
    images, _ = split.batch(chosen)
    return [
        Wrong(
            Picture(f"image {index}", f"{predicted.split} image {index}", _png(pixels)),
            max(pixels.shape) > _COARSE,
            names[predictions.guesses[index]],
            names[predictions.labels[index]],
            float(predictions.probabilities[index]),
        )
        for index, pixels in zip(chosen.tolist(), images, strict=True)
    ]


def sheet(wrong: Sequence[Wrong]) -> Picture:
    """All of them in one picture."""
    from PIL import Image

    columns = min(_COLUMNS, len(wrong))
    rows = -(-len(wrong) // columns)
    with style():
        drawn = figure(_HIGH * rows, max(_WIDE * columns, 2.2))
        # One plot for all, in inches: a plot for each would be laid out among all others.
        axes = drawn.add_subplot(aspect="equal")
        axes.axis("off")
        for number, found in enumerate(wrong):
            row, column = divmod(number, columns)
            middle, bottom = (column + 0.5) * _WIDE, -(row + 1) * _HIGH
            image = np.asarray(Image.open(io.BytesIO(found.picture.png)).convert("RGB"))
            height, width = (_SIDE * size / max(image.shape[:2]) for size in image.shape[:2])
            place = (middle - width / 2, middle + width / 2, bottom, bottom + height)
            axes.imshow(image, extent=place, interpolation=None if found.photograph else "nearest", aspect="equal")
            guess, truth = (short(name, _LONGEST_NAME) for name in (found.guess, found.truth))
            said = f"{guess} {found.probability:.0%}\nis {truth}"
            axes.text(middle, bottom + height + 0.03, said, fontsize=7, ha="center", va="bottom")
        # Each image has set them to its own.
        axes.set(xlim=(0, _WIDE * columns), ylim=(-_HIGH * rows, 0))
        return Picture("wrong_images", "Images that it gets wrong", png_of(drawn))


def _png(pixels: Pixels) -> bytes:
    """An image, uint8 H×W×C, as a PNG file of at most `_LARGEST` pixels a side."""
    from PIL import Image

    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.thumbnail((_LARGEST, _LARGEST))
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return content.getvalue()
