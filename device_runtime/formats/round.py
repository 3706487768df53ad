"""What a round of a fleet leaves in the output folder, and all that is pulled of it: round.safetensors, round.json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from device_runtime.formats.errors import FormatError
from device_runtime.formats.records import parse_object, typed
from device_runtime.formats.whole_file import whole_file

ROUND_FILE = "round.json"
# The trained parameters and running statistics alone, without the optimizer's state.
ROUND_PARAMETERS = "round.safetensors"


@dataclass(frozen=True)
class RoundResult:
    """What came of a round.

    Attributes:
      images: to train on.
      steps: of the training.
      loss: mean of all steps, without a proximal term.
      accuracy, test_loss: of the trained model on the test images.
      accuracy_before, test_loss_before: of the model that it began with.
      seconds: of the training alone.
    """

    images: int
    steps: int
    loss: float
    accuracy: float
    test_loss: float
    accuracy_before: float
    test_loss_before: float
    seconds: float


def write_round(folder: Path, result: RoundResult) -> None:
    """Writes round.json, after which all of the round is there.

    Raises:
      OSError: the disk is full or the folder cannot be written to.
    """
    with whole_file(folder / ROUND_FILE) as temporary:
        temporary.write_text(json.dumps(asdict(result)) + "\n")


def read_round(folder: Path) -> RoundResult:
    """Reads round.json.

    Raises:
      FormatError: it is missing or damaged.
    """
    path = folder / ROUND_FILE
    try:
        result: RoundResult = typed(RoundResult, parse_object(path.read_text("utf-8")))
        _check(result)
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} is not what a round leaves ({error}): let the device train again") from error
    return result


def _check(result: RoundResult) -> None:
    """Raises ValueError where a number cannot be meant: the images weigh what the device trained."""
    if min(result.images, result.steps) < 1:
        raise ValueError("it trained on nothing")
    if not 0 <= min(result.accuracy, result.accuracy_before) <= max(result.accuracy, result.accuracy_before) <= 1:
        raise ValueError("an accuracy is no share of the images")
    if result.seconds < 0:
        raise ValueError("it took less than no time")
