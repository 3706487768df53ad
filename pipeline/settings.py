"""What a user asks for, as the tasks hand it to the stages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError

TARGETS = ("x86", "arm64")

# What torch takes as a seed.
LARGEST = 2**63 - 1


@dataclass(frozen=True)
class Settings:
    """Where things come from and go to.

    Attributes:
      target: x86 or arm64.
      model: a name, `model.onnx`, or `path/to/module.py:factory`.
      build: folder of everything that can be built again.
      data: the dataset's folder, or None for the carried sample of MNIST.
      runs: folder of the results.
      seed: draws the initial weights and the order of the images.
      serial: the adb device, or None for the only one.
      classes: of a dataset of photographs, the classes to take; none for the first ten.
      optimizer, trainable: replace the recipe's: `sgd,momentum=0.9`; `head`, `all` or shell patterns over names.
      loss, label_smoothing, frozen_dtype: replace the recipe's.
      head, backbone: of the model `transfer`: what the head stands on, or another backbone, `model.onnx` or
        `path/to/module.py:factory`.
      engine: what is to train; the stages make the same for both, and refuse what `reference` cannot train.
      batch_size, accumulate: images of a batch (None: the recipe's), and batches of a step.
    """

    target: str
    model: str
    build: Path
    data: Path | None = None
    runs: Path = Path("runs")
    seed: int = 1
    serial: str | None = None
    classes: tuple[str, ...] = ()
    optimizer: str | None = None
    trainable: str | None = None
    loss: str | None = None
    label_smoothing: float | None = None
    frozen_dtype: str | None = None
    head: str | None = None
    backbone: str | None = None
    engine: str = "lowered"
    batch_size: int | None = None
    accumulate: int = 1

    def __post_init__(self) -> None:
        target_name(self.target)


def listed(text: str) -> tuple[str, ...]:
    """What an option gives with commas between."""
    return tuple(word.strip() for word in text.split(","))


def target_name(text: str) -> str:
    """Reads `--target`.

    Raises:
      UsageError: there is no such target.
    """
    if text not in TARGETS:
        raise UsageError(f"unknown target {text!r}: give --target {' or --target '.join(TARGETS)}")
    return text


def whole_number(option: str, text: str | int, least: int) -> int:
    """Reads an option's value.

    Raises:
      UsageError: it is not a whole number from `least` to LARGEST.
    """
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise UsageError(f"--{option} {text}: give a whole number of at least {least}")
    if value > LARGEST:
        raise UsageError(f"--{option} {text}: give a whole number of at most {LARGEST}")
    return value


def number(option: str, text: str) -> float:
    """Reads an option's value.

    Raises:
      UsageError: it is not a number.
    """
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--{option} {text}: give a number") from None


def positive_number(option: str, text: str) -> float:
    """Reads an option's value.

    Raises:
      UsageError: it is not a finite number above 0.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise UsageError(f"--{option} {text}: give a number above 0")
    return value
