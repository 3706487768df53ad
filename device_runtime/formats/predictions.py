"""predictions_<step>.bin: what the trained model says of each image of the split that it is evaluated on at last.

A line of JSON, `Heading`, then three columns in the order of the dataset: labels and the classes that the model takes
the images for, both int32, and the probabilities of those classes, float32, all little-endian: twelve bytes an image.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from device_runtime.formats.dataset import MOST_IMAGES
from device_runtime.formats.errors import FormatError
from device_runtime.formats.records import parse_object, typed
from device_runtime.formats.whole_file import whole_file

FORMAT = 1

# int32 labels; a matrix of more classes would be of no use.
MOST_CLASSES = 2**20
_LONGEST_HEADING = 4096
_BYTES_PER_IMAGE = 12

Indices = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Heading:
    """What the numbers are of; `run` is the training's id, as in metrics.jsonl."""

    run: str
    step: int
    split: str
    classes: int
    images: int


@dataclass(frozen=True)
class Predictions:
    """What a model says of N images.

    Attributes:
      labels, guesses: int32 N, indices of classes.
      probabilities: float32 N, of the guesses, from 0 to 1; what makes them of logits, the loss says (answers.py).
    """

    labels: Indices
    guesses: Indices
    probabilities: npt.NDArray[np.float32]

    def wrong(self) -> npt.NDArray[np.int64]:
        """Indices of the images that it takes for another class: int64, the ones it is surest of first."""
        found = np.flatnonzero(self.labels != self.guesses)
        return found[np.argsort(-self.probabilities[found], kind="stable")]


def predictions_name(step: int) -> str:
    """The file's name after update `step`."""
    return f"predictions_{step}.bin"


def write_predictions(folder: Path, predictions: Predictions, heading: Heading) -> None:
    """Writes the file of `heading.step`, whole or not at all.

    Raises:
      OSError: the disk is full or the folder cannot be written to.
    """
    numbers = (predictions.labels.astype("<i4"), predictions.guesses.astype("<i4"))
    with whole_file(folder / predictions_name(heading.step)) as temporary, temporary.open("wb") as file:
        file.write(json.dumps({"format": FORMAT, **asdict(heading)}).encode() + b"\n")
        for column in (*numbers, predictions.probabilities.astype("<f4")):
            file.write(column.data)


def read_predictions(path: Path) -> tuple[Heading, Predictions]:
    """Reads a file.

    Raises:
      FormatError: it is missing, cut short, damaged or of another format.
    """
    try:
        with path.open("rb") as file:
            heading = _heading(file.readline(_LONGEST_HEADING).decode())
            # Before anything is read: the heading alone says how much.
            if os.fstat(file.fileno()).st_size - file.tell() != _BYTES_PER_IMAGE * heading.images:
                raise ValueError(f"it is not as long as {heading.images} images take")
            return heading, _predictions(file.read(), heading)
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}; pull it again") from error
    except (ValueError, KeyError) as error:
        raise FormatError(f"{path} is damaged ({error}): pull it again, or remove it") from error


def _heading(line: str) -> Heading:
    record = parse_object(line)
    if (found := typed(int, record.pop("format"))) != FORMAT:
        raise ValueError(f"it has format {found}, this program reads {FORMAT}")
    heading: Heading = typed(Heading, record)
    if not 1 <= heading.classes <= MOST_CLASSES or not 0 <= heading.images <= MOST_IMAGES or heading.step < 0:
        raise ValueError(f"{heading.images} images of {heading.classes} classes after step {heading.step}")
    return heading


def _predictions(content: bytes, heading: Heading) -> Predictions:
    count = heading.images
    labels, guesses = (np.frombuffer(content, "<i4", count, 4 * count * column) for column in (0, 1))
    probabilities = np.frombuffer(content, "<f4", count, 8 * count)
    for indices in (labels, guesses):
        if count and not (indices.min() >= 0 and indices.max() < heading.classes):
            raise ValueError("a class is none of those that there are")
    # What is no number is in no range.
    if count and not (probabilities.min() >= 0 and probabilities.max() <= 1):
        raise ValueError("a probability is beyond 0 and 1")
    return Predictions(labels, guesses, probabilities)
