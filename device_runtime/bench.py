"""`python -m device_runtime.bench PART`: times one part of a package on this machine, a line of JSON for each round.

Parts: `step`, the lowered train step; `product`, one matrix product (the file product.onnx that the host added);
`features`, one pass of all images through the frozen backbone.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from device_runtime.base_memory import base_memory_bytes
from device_runtime.engines.lowered import LoweredEngine
from device_runtime.engines.sessions import open_session, session_options
from device_runtime.features import BATCH, Backbone
from device_runtime.formats.checkpoint import read_checkpoint, untrained_name
from device_runtime.formats.dataset import load_dataset
from device_runtime.formats.errors import FormatError
from device_runtime.formats.model import read_model
from device_runtime.formats.sample import drawn, drawn_targets
from device_runtime.timing import LEARNING_RATE, Measure, Record, answer, median_ms, serve, timed

PRODUCT_FILE = "product.onnx"


@dataclass(frozen=True)
class Options:
    """What to time; `seconds` is the least duration of a round, `wait` makes one for each line on stdin instead."""

    part: str
    threads: int
    rounds: int
    seconds: float
    wait: bool


def main() -> int:
    """Runs and returns the exit code: 0, or 1 for a damaged package."""
    package = Path(__file__).resolve().parent.parent
    options = _parse(sys.argv[1:])
    makers = {"step": _step, "product": _product, "features": _features}
    try:
        measure = makers[options.part](package, options)
        if options.wait:
            serve(measure)
        else:
            for _ in range(options.rounds):
                answer(measure)
    except FormatError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parse(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="device_runtime.bench", description="Times one part of this package.")
    parser.add_argument("part", choices=("step", "product", "features"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--wait", action="store_true")
    return Options(**vars(parser.parse_args(arguments)))


def _step(package: Path, options: Options) -> Measure:
    base = base_memory_bytes()
    folder = package / "model"
    model = read_model(folder)
    batch = model.recipe.batch_size
    random = np.random.default_rng(0)
    inputs, label = drawn(model.input, batch, random), drawn_targets(model.target, batch, random)
    start = read_checkpoint(folder / untrained_name(model), model)
    engine = LoweredEngine(folder, model, start, batch, options.threads)
    # What stands apart is part of the step, as it is where training samples change.
    apart = Backbone(folder / "features.onnx", options.threads) if model.features is not None else None
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        engine.train_step(apart.features(inputs) if apart else inputs, label, LEARNING_RATE, done)

    return lambda: timed(step, options.seconds, base)


def _product(package: Path, options: Options) -> Measure:
    session = open_session(package / PRODUCT_FILE, session_options(options.threads))
    random = np.random.default_rng(0)
    feeds = {info.name: random.random(info.shape, np.float32) for info in session.get_inputs()}
    return lambda: {"ms": median_ms(lambda: session.run(None, feeds), options.seconds)}


def _features(package: Path, options: Options) -> Measure:
    splits = load_dataset(package / "dataset").splits.values()
    backbone = Backbone(package / "model" / "features.onnx", options.threads)

    def measure() -> Record:
        started = time.perf_counter()
        for split in splits:
            for first in range(0, len(split), BATCH):
                backbone.features(split.batch(np.arange(first, min(first + BATCH, len(split))))[0])
        return {"ms": (time.perf_counter() - started) * 1000}

    return measure


if __name__ == "__main__":
    sys.exit(main())
