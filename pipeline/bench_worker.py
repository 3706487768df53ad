"""One engine's train step, timed: `bench_worker.py ENGINE THREADS BATCH PACKAGE` prints milliseconds per step."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from device_runtime.formats.checkpoint import read_checkpoint, untrained_name
from device_runtime.formats.model import read_model

WARM_UP_STEPS = 60
STEPS = 240

Step = Callable[[int], object]


def main() -> None:
    """Makes the engine's step, runs it warm and prints the median of its times."""
    engine, threads, batch, package = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (batch, 28, 28, 1), np.uint8)
    label = random.integers(0, 10, batch)
    makers = {"lowered": _lowered, "onnxruntime-training": _reference, "torch-eager": _torch}
    step = makers[engine](package, threads, pixels, label)
    times: list[float] = []
    for number in range(1, WARM_UP_STEPS + STEPS + 1):
        started = time.perf_counter()
        step(number)
        times.append(time.perf_counter() - started)
    print(float(np.median(times[WARM_UP_STEPS:])) * 1000)


def _lowered(package: Path, threads: int, pixels: np.ndarray, label: np.ndarray) -> Step:
    from device_runtime.engines.lowered import LoweredEngine

    folder = package / "model"
    model = read_model(folder)
    start = read_checkpoint(folder / untrained_name(model), model)
    engine = LoweredEngine(folder, model, start, len(label), threads)
    return lambda number: engine.train_step(pixels, label, 1e-3, number)


def _reference(package: Path, threads: int, pixels: np.ndarray, label: np.ndarray) -> Step:
    from device_runtime.engines.reference import ReferenceEngine

    folder = package / "model"
    model = read_model(folder)
    start = read_checkpoint(folder / untrained_name(model), model)
    engine = ReferenceEngine(folder / "reference", model, start, threads)
    image = engine.preprocess(pixels)
    return lambda number: engine.step_on_image(image, label, 1e-3)


def _torch(package: Path, threads: int, pixels: np.ndarray, label: np.ndarray) -> Step:
    import torch

    from pipeline.models.lenet import build

    torch.set_num_threads(threads)
    model = build(10)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    image = torch.randn(len(label), 1, 32, 32)
    target = torch.from_numpy(label)

    def step(number: int) -> float:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(image), target)
        torch.autograd.backward(loss)
        optimizer.step()
        return float(loss.detach())

    return step


if __name__ == "__main__":
    main()
