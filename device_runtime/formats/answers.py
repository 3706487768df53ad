"""answers.json: what a trained model says of images, and how long it took."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from device_runtime.formats.errors import FormatError
from device_runtime.formats.records import parse_object, typed
from device_runtime.formats.sample import CLASS, VALUES, Target
from device_runtime.formats.whole_file import whole_file

FORMAT = 1
FILE_NAME = "answers.json"

# The model, in the folder of the images.
MODEL = "trained.onnx"

# The only split of the images that are asked about.
SPLIT = "images"

# What makes probabilities of logits, by the loss that they were trained with: mean squared error draws the logits
# themselves to 0 and 1.
PROBABILITIES = {"cross_entropy": "softmax", "binary_cross_entropy": "sigmoid", "mean_squared_error": "clip"}

# Those of ten million images.
_MOST_BYTES = 2**30

# Beyond rounding.
_ROUNDING = 1e-6


def probability_of(loss: str, target: Target) -> str | None:
    """What makes probabilities of what a model gives that was trained by a loss; None where that is values.

    One of its own is taken to be of logits.
    """
    if target.kind == VALUES:
        return None
    return PROBABILITIES.get(loss, "softmax" if target.kind == CLASS else "sigmoid")


@dataclass(frozen=True)
class Answers:
    """What was answered.

    Attributes:
      onnxruntime: version of the runtime.
      machine: its processor's architecture, and how many cores.
      threads: of the runtime.
      runs: how many runs with one image were timed.
      median_ms: their median; 0 where none was.
      labels: of each image the most probable classes, the most probable one first.
      probabilities: theirs.
    """

    onnxruntime: str
    machine: str
    threads: int
    runs: int
    median_ms: float
    labels: tuple[tuple[int, ...], ...]
    probabilities: tuple[tuple[float, ...], ...]


def write_answers(folder: Path, answers: Answers) -> None:
    """Writes answers.json into `folder`."""
    with whole_file(folder / FILE_NAME) as temporary:
        temporary.write_text(json.dumps({"format": FORMAT, **asdict(answers)}) + "\n")


def read_answers(folder: Path, images: int, classes: int) -> Answers:
    """Reads answers.json.

    Args:
      folder: where it is.
      images: how many were asked about.
      classes: how many the model knows.

    Raises:
      FormatError: it is missing or damaged, or answers something else.
    """
    path = folder / FILE_NAME
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES:,} bytes")
        record = parse_object(path.read_text("utf-8"))
        if (found := typed(int, record.pop("format"))) != FORMAT:
            raise ValueError(f"format {found}, not {FORMAT}")
        answers: Answers = typed(Answers, record)
        _check(answers, images, classes)
        return answers
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}; the target answered nothing: ask again") from error
    except (ValueError, KeyError) as error:
        raise FormatError(f"{path} is damaged ({error}): ask again") from error


def _check(answers: Answers, images: int, classes: int) -> None:
    """Raises ValueError where the numbers cannot be meant."""
    if not len(answers.labels) == len(answers.probabilities) == images:
        raise ValueError(f"it answers {len(answers.labels)} images, not {images}")
    if answers.threads < 1 or answers.runs < 0 or answers.median_ms < 0:
        raise ValueError("it counts below what there is")
    if not (answers.onnxruntime + answers.machine).isprintable():
        raise ValueError("runtime or machine have no plain name")
    for labels, probabilities in zip(answers.labels, answers.probabilities, strict=True):
        if not 1 <= len(labels) == len(probabilities) or len(set(labels)) < len(labels):
            raise ValueError("an image has no class, or one twice")
        if not 0 <= min(labels) <= max(labels) < classes:
            raise ValueError(f"a class is {max(labels, key=abs)}, not below {classes}")
        if not 0 <= min(probabilities) <= max(probabilities) <= 1 + _ROUNDING:
            raise ValueError("a probability is none")
