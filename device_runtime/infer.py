"""`python -m device_runtime.infer FOLDER`: what a trained model says of images, and how long it takes for one of them.

The folder holds trained.onnx and the images, a dataset with one split `images`; it takes answers.json.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from device_runtime.engines.sessions import open_session, session_options
from device_runtime.formats.answers import MODEL, PROBABILITIES, SPLIT, Answers, write_answers
from device_runtime.formats.dataset import Dataset, load_dataset
from device_runtime.formats.errors import FormatError
from device_runtime.probabilities import probabilities_of
from device_runtime.timing import durations_ms

LOGITS = "logits"

# Of each call of the runtime, but for those that are timed.
BATCH = 16


@dataclass(frozen=True)
class Options:
    """What to answer, and with how many threads; `seconds`: how long runs with one image are timed, 0 for none."""

    folder: Path
    probability: str
    top: int
    threads: int
    seconds: float


def main() -> int:
    """Runs and returns the exit code: 0, or 1 for a damaged model, damaged images or a full disk."""
    options = _parse(sys.argv[1:])
    try:
        write_answers(options.folder, answer(options))
    except FormatError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.filename or options.folder}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def answer(options: Options) -> Answers:
    """Asks the model about every image.

    Raises:
      FormatError: model or images are damaged or do not fit together.
    """
    dataset = load_dataset(options.folder)
    images = dataset.splits[SPLIT]
    session = open_session(options.folder / MODEL, session_options(options.threads))
    run = _runner(session, dataset)
    labels: list[tuple[int, ...]] = []
    probabilities: list[tuple[float, ...]] = []
    for first in range(0, len(images), BATCH):
        pixels, _ = images.batch(np.arange(first, min(first + BATCH, len(images))))
        logits = run(pixels)
        # Of equal ones the first, as argmax has it.
        chosen = np.argsort(-logits, axis=1, kind="stable")[:, : options.top]
        labels += map(tuple, chosen.tolist())
        found = np.take_along_axis(probabilities_of(logits, options.probability), chosen, axis=1)
        probabilities += map(tuple, found.tolist())
    one, _ = images.batch(np.arange(1))
    times = durations_ms(lambda: run(one), options.seconds) if options.seconds else []
    return Answers(
        onnxruntime=ort.__version__,
        machine=f"{platform.machine()}, {os.cpu_count()} cores",
        threads=options.threads,
        runs=len(times),
        median_ms=round(float(np.median(times)), 4) if times else 0.0,
        labels=tuple(labels),
        probabilities=tuple(probabilities),
    )


def _runner(session: ort.InferenceSession, dataset: Dataset) -> Callable[[npt.NDArray[np.uint8]], npt.NDArray[Any]]:
    """What gives the logits of a batch of pixels.

    Raises:
      FormatError: the model takes something else, or gives no logits.
    """
    description = dataset.description
    shape = list(description.sample.shape)
    inputs, outputs = session.get_inputs(), [output.name for output in session.get_outputs()]
    if [(i.type, i.shape[1:]) for i in inputs] != [("tensor(uint8)", shape)] or LOGITS not in outputs:
        raise FormatError(f"{MODEL} does not make logits of uint8 pixels N×{'×'.join(map(str, shape))}: train again")

    def run(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        (logits,) = session.run([LOGITS], {inputs[0].name: pixels})
        if logits.shape != (len(pixels), len(dataset.classes)):
            raise FormatError(
                f"{MODEL} gives logits of shape {logits.shape} for {len(dataset.classes)} classes: train again"
            )
        if not np.isfinite(logits).all():
            raise FormatError(f"{MODEL} gives no numbers for an image: its training diverged; take another run")
        return np.asarray(logits)

    return run


def _parse(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="device_runtime.infer", description="Asks a trained model about images.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--probability", choices=sorted(PROBABILITIES.values()), default="softmax")
    parser.add_argument("--top", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.0)
    return Options(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
