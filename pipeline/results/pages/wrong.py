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
        drawn = figure(1.35 * rows, max(1.1 * columns, 2.2))
        for number, found in enumerate(wrong, 1):
            axes = drawn.add_subplot(rows, columns, number)
            image = Image.open(io.BytesIO(found.picture.png)).convert("RGB")
            axes.imshow(np.asarray(image), interpolation=None if found.photograph else "nearest")
            axes.axis("off")
            guess, truth = (short(name, _LONGEST_NAME) for name in (found.guess, found.truth))
            axes.set_title(f"{guess} {found.probability:.0%}\nis {truth}", fontsize=7)
        return Picture("wrong_images", "Images that it gets wrong", png_of(drawn))


def _png(pixels: Pixels) -> bytes:
    """An image, uint8 H×W×C, as a PNG file of at most `_LARGEST` pixels a side."""
    from PIL import Image

    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.thumbnail((_LARGEST, _LARGEST))
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return content.getvalue()
