"""The runner's command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from device_runtime.augmentation import AUGMENTATIONS
from device_runtime.schedules import SCHEDULES

ENGINES = ("lowered", "reference")

# The runtime starts as many as it is told: a slip of the finger would freeze the device.
_MOST_THREADS = 256


class OptionsError(Exception):
    """An option is unknown, or its value cannot be meant; the message names it."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Hands the message over, where argparse prints it below its usage and ends the program."""
        raise OptionsError(message.removeprefix("argument "))


@dataclass(frozen=True)
class Options:
    """What the user asked for; None leaves the choice to the model's recipe or to the checkpoint."""

    file: Path
    data: Path
    output: Path
    cycles: int | None
    epochs: int | None
    save_every: int
    evaluate_every: int | None
    learning_rate: float | None
    schedule: str
    warmup: int
    batch_size: int | None
    accumulate: int
    sink_size: int
    seed: int | None
    threads: int
    target_accuracy: float | None
    engine: str
    augment: tuple[str, ...]
    cache: bool
    verbose: bool


def parse(arguments: Sequence[str], package: Path) -> Options:
    """Reads the command line.

    Args:
      arguments: without the program's name.
      package: folder whose `output/` takes the results by default.

    Raises:
      OptionsError: it is wrong.
    """
    parser = _Parser(prog="device_runtime", description="Trains and evaluates on this device.")
    add = parser.add_argument
    add("-f", dest="file", type=Path, required=True, metavar="MODEL", help="model folder or checkpoint (.safetensors)")
    add("-d", dest="data", type=Path, required=True, metavar="FOLDER", help="dataset folder")
    add("--cycles", "-c", type=_count, metavar="N", help="training cycles (steps); 0 evaluates only")
    add("--save-every", "-s", type=_count, default=0, metavar="N", help="save a checkpoint every N cycles")
    add("--verbose", "-v", action="store_true", help="print sizes and every node's inputs and outputs")
    add("--epochs", type=_positive, metavar="N", help="passes over the training split, instead of --cycles")
    add("--learning-rate", type=_rate, metavar="RATE", help="learning rate")
    add("--schedule", choices=SCHEDULES, default="constant", help="learning rate over time")
    add("--warmup", type=_count, default=0, metavar="N", help="cycles over which the learning rate rises from 0")
    add("--batch-size", type=_positive, metavar="N", help="images of one step")
    add("--accumulate", type=_positive, default=1, metavar="N", help="batches whose mean gradient makes one step")
    add("--sink-size", type=_positive, default=1, metavar="K", help="steps of one call of the runtime (default 1)")
    add("--seed", type=_count, metavar="N", help="draws the order of the images (default 1)")
    add("--threads", type=_threads, default=1, metavar="N", help="threads of the runtime (default 1)")
    add("--target-accuracy", type=_fraction, metavar="A", help="stop at this accuracy on the test split")
    add("--evaluate-every", type=_count, metavar="N", help="evaluate the test split every N cycles")
    add("--engine", choices=ENGINES, default="lowered", help="lowered graphs, or onnxruntime-training (x86 host)")
    add("--augment", type=_augmentations, default=(), metavar="KINDS", help="change training images: flip,crop")
    add("--no-cache", dest="cache", action="store_false", help="pass every image through the frozen backbone each time")
    add("--output", type=Path, default=package / "output", metavar="FOLDER", help="takes checkpoints and metrics")
    options = Options(**vars(parser.parse_args(arguments)))
    if options.epochs is not None and options.cycles is not None:
        parser.error("give --cycles or --epochs, not both")
    if options.accumulate > 1 and options.sink_size > 1:
        parser.error("give --accumulate or --sink-size, not both")
    if options.engine == "reference" and max(options.accumulate, options.sink_size) > 1:
        parser.error("--engine reference takes neither --accumulate nor --sink-size: use --engine lowered")
    return options


def _count(text: str) -> int:
    return _at_least(text, 0)


def _positive(text: str) -> int:
    return _at_least(text, 1)


def _threads(text: str) -> int:
    value = _positive(text)
    if value > _MOST_THREADS:
        raise argparse.ArgumentTypeError(f"{text!r} threads are more than {_MOST_THREADS}")
    return value


def _at_least(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    return value


def _rate(text: str) -> float:
    value = _number(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a learning rate: a number of at least 0")
    return value


def _fraction(text: str) -> float:
    value = _number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not an accuracy: a number above 0 and at most 1")
    return value


def _augmentations(text: str) -> tuple[str, ...]:
    kinds = tuple(word.strip() for word in text.split(","))
    if unknown := [kind for kind in kinds if kind not in AUGMENTATIONS]:
        raise argparse.ArgumentTypeError(
            f"{unknown[0]!r} is no augmentation: give {' or '.join(AUGMENTATIONS)}, or both"
        )
    return kinds


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from error
