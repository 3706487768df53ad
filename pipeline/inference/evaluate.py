"""`invoke eval --run`: a finished run on other data."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import UsageError, in_line
from pipeline.inference.asking import ask
from pipeline.inference.labelled import labelled_images
from pipeline.progress import note
from pipeline.results.trained import TrainedModel, named_run, read_trained
from pipeline.settings import Settings
from pipeline.tables.columns import columns


def is_of_a_run(settings: Settings) -> bool:
    """Whether a finished run is to be evaluated, and not what the target's package trained last.

    Raises:
      UsageError: options of the one are given with the other.
    """
    if settings.run is None:
        for option, given in (("--data", settings.data), ("--verbose", settings.runner.verbose)):
            if given:
                raise UsageError(f"{option} is for a finished run: name it with --run")
        return False
    if settings.data is None:
        raise UsageError("--run evaluates a finished run on other data: give its folder with --data")
    return True


def evaluate_run(settings: Settings) -> None:
    """Prints accuracy and number of images of a finished run on `--data`, and with `--verbose` those of each class.

    Raises:
      UsageError: there is no such run.
      DatasetError: the data has no image of the run's classes.
    """
    model = read_trained(named_run(settings.run, settings.runs))
    with tempfile.TemporaryDirectory() as work:
        images = labelled_images(settings.data or Path(), model, Path(work))
        for line in images.told:
            note(f"warning: {line}")
        answers = ask(settings, model, Path(work), images.strips)
    labels = [strip.label for strip in images.strips for _ in range(strip.count)]
    guesses = [found[0] for found in answers.labels]
    right = sum(label == guess for label, guess in zip(labels, guesses, strict=True))
    if settings.runner.verbose:
        print("\n".join(table_of_classes(model, labels, guesses)))
    print(f"images = {len(labels)}")
    print(f"accuracy = {right / len(labels):.6g}", flush=True)


def table_of_classes(model: TrainedModel, labels: Sequence[int], guesses: Sequence[int]) -> list[str]:
    """Images, right answers and accuracy of each class that the data has."""
    images = Counter(labels)
    right = Counter(label for label, guess in zip(labels, guesses, strict=True) if label == guess)
    rows = [
        [in_line(name), str(images[label]), str(right[label]), f"{right[label] / images[label]:.4f}"]
        for label, name in enumerate(model.classes)
        if images[label]
    ]
    return columns([["class", "images", "right", "accuracy"], *rows], numbers=(1, 2, 3))
