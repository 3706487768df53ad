"""One rival's train step, timed: `python -m pipeline.bench.rival ENGINE MODEL PACKAGE THREADS SECONDS`.

Answers each line on stdin with a line of JSON as device_runtime/bench.py does. A rival gets its input preprocessed, and
of its options those that make it fastest here; where it does not run, it says why.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from device_runtime.bench import LEARNING_RATE, median_ms, serve
from device_runtime.engines.reference import ReferenceEngine
from device_runtime.formats.checkpoint import read_checkpoint, untrained_name
from device_runtime.formats.model import read_model
from device_runtime.metrics import peak_memory_bytes
from pipeline.sources.model_source import build_module, find_model, recipe_of

if TYPE_CHECKING:
    import torch

CHOICE_S = 0.3

Step = Callable[[], object]


@dataclass(frozen=True)
class Task:
    """What is to be timed: `image` float32 N×C×H×W as the model takes it, `label` int64 N."""

    model: str
    package: Path
    threads: int
    classes: int
    image: np.ndarray
    label: np.ndarray


@dataclass(frozen=True)
class Way:
    """A way of torch to make the step: the images' memory format and Adam's implementation."""

    channels_last: bool
    fused: bool


def main() -> None:
    """Sets the rival up and answers."""
    engine, model, package, threads, seconds = sys.argv[1:]
    makers = {"onnxruntime-training": _reference, "torch-eager": _eager, "torch-compile": _compiled}
    task = _task(model, Path(package), int(threads))
    try:
        step = makers[engine](task)
        step()
    # Whatever keeps a rival from running (no compiler, no kernel) is a result, and no reason to give up the others.
    except Exception as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        serve(lambda: {"unavailable": reason})
    else:
        serve(lambda: {"ms": median_ms(step, float(seconds)), "peak_memory_bytes": peak_memory_bytes()})


def _task(name: str, package: Path, threads: int) -> Task:
    model = read_model(package / "model")
    size = model.input
    recipe = recipe_of(find_model(name), size)
    into, random = recipe.preprocessing, np.random.default_rng(0)
    shape = (model.recipe.batch_size, size.channels, into.height, into.width)
    mean, std = (np.array(values, np.float32).reshape(-1, 1, 1) for values in (into.mean, into.std))
    image = (random.integers(0, 256, shape).astype(np.float32) * np.float32(into.scale) - mean) / std
    return Task(name, package, threads, model.classes, image, random.integers(0, model.classes, shape[0]))


def _reference(task: Task) -> Step:
    folder = task.package / "model"
    model = read_model(folder)
    start = read_checkpoint(folder / untrained_name(model), model)
    engine = ReferenceEngine(folder / "reference", model, start, task.threads)
    return lambda: engine.step_on_image(task.image, task.label, LEARNING_RATE)


def _eager(task: Task) -> Step:
    return _torch_step(task, _fastest_way(task))


def _compiled(task: Task) -> Step:
    import torch

    # Compiling all ways would take minutes: the one that suits eager torch suits it too.
    return _torch_step(task, _fastest_way(task), torch.compile)


def _fastest_way(task: Task) -> Way:
    import torch

    torch.set_num_threads(task.threads)
    # Some processors take a hundred times as long for denormal numbers.
    torch.set_flush_denormal(True)
    ways = [Way(channels_last, fused) for channels_last in (False, True) for fused in (False, True)]
    times = [median_ms(_torch_step(task, way), CHOICE_S) for way in ways]
    return ways[times.index(min(times))]


def _torch_step(
    task: Task, way: Way, transform: Callable[[Callable[..., torch.Tensor]], Callable[..., torch.Tensor]] | None = None
) -> Step:
    import torch

    model = build_module(find_model(task.model), task.classes, 1)
    memory_format = torch.channels_last if way.channels_last else torch.contiguous_format
    model = model.to(memory_format=memory_format).train()  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, fused=way.fused)
    image = torch.from_numpy(task.image).contiguous(memory_format=memory_format)
    label = torch.from_numpy(task.label)

    def loss_of(image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        loss: torch.Tensor = torch.nn.functional.cross_entropy(model(image), label)
        return loss

    loss_function = transform(loss_of) if transform else loss_of

    def step() -> float:
        optimizer.zero_grad()
        loss = loss_function(image, label)
        torch.autograd.backward(loss)
        optimizer.step()
        return float(loss.detach())

    return step


if __name__ == "__main__":
    main()
