"""How many threads a training takes where nobody says: what is fastest here, tried on the gradient of a batch.

What threads add up they may add up in another order, so their number decides a training's last bits: it is found before
the first update, is part of the plan, and a training that goes on keeps it. A trial changes nothing of the state.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from device_runtime.cpus import keep_to, usable_cpus
from device_runtime.formats.checkpoint import Checkpoint
from device_runtime.formats.dataset import Dataset
from device_runtime.formats.model import Model
from device_runtime.formats.options import LOWERED, Options
from device_runtime.plan import Plan

MOST = 4
# Where nothing is tried; one CPU has one.
USUAL = 2
# A trial takes as long as some ten batches.
LEAST_BATCHES = 500
LEAST_TIMED, TIMED_S = 2, 0.05
# A thread more has to be worth its share of the battery.
WORTH = 1.05


@dataclass(frozen=True)
class Threads:
    """How many there are, and why.

    Attributes:
      number: of threads.
      cpus: that there are for them.
      ms: of a batch on each number that was tried; empty where none was.
    """

    number: int
    cpus: int
    ms: Mapping[int, float]

    def line(self) -> str:
        """`2 threads: a batch takes 0.62 ms, 0.86 on 1, 0.9 on 4`."""
        threads = f"{self.number} thread{'s' if self.number > 1 else ''}"
        if self.ms:
            others = "".join(f", {ms:.3g} on {number}" for number, ms in self.ms.items() if number != self.number)
            return f"{threads}: a batch takes {self.ms[self.number]:.3g} ms{others}"
        if self.cpus == 1:
            return f"{threads}, as there is one CPU"
        return f"{threads}; others are tried in trainings of {LEAST_BATCHES} batches and more"

    def record(self) -> dict[str, float]:
        """As it is in metrics.jsonl."""
        tried = {f"ms_on_{number}": round(ms, 6) for number, ms in self.ms.items()}
        return {"threads": self.number, "cpus": self.cpus, **tried}


def with_threads(
    options: Options, plan: Plan, folder: Path, model: Model, start: Checkpoint, dataset: Dataset
) -> tuple[Plan, Threads | None]:
    """The plan with the number of threads that is best here, and why; as it is where a user or the plan before said it.

    Args:
      options: what the user said.
      plan: of the run.
      folder: the model folder.
      model: its description.
      start: what the run starts from.
      dataset: has the batch to try it on.
    """
    if options.threads is not None or "threads" in start.run.plan:
        return plan, None
    cpus = usable_cpus()
    counts = counts_for(len(cpus))
    updates = plan.last - plan.first + 1
    batches = max(updates, 0) * plan.accumulate
    # Threads of the runtime take over where this one may run.
    keep_to(cpus)
    ms: dict[int, float] = {}
    if batches >= LEAST_BATCHES and len(counts) > 1 and options.engine == LOWERED:
        ms = tried(counts, lambda threads: _gradient_ms(threads, folder, model, start, dataset, plan.batch_size))
    number = fastest(ms) if ms else min(USUAL, len(cpus))
    return replace(plan, threads=number), Threads(number, len(cpus), ms) if updates > 0 else None


def counts_for(cpus: int) -> tuple[int, ...]:
    """Numbers of threads that may be best on so many CPUs, in their order."""
    return tuple(sorted({1, min(2, cpus), min(MOST, cpus)}))


def tried(counts: tuple[int, ...], measure: Callable[[int], float]) -> dict[int, float]:
    """What `measure` finds for each number of threads, as long as more are faster."""
    found: dict[int, float] = {}
    for count in counts:
        found[count] = measure(count)
        if fastest(found) != count:
            break
    return found


def fastest(ms: Mapping[int, float]) -> int:
    """The least number of threads that is about as fast as the best one."""
    return min(number for number, taken in ms.items() if taken <= WORTH * min(ms.values()))


def _gradient_ms(
    threads: int, folder: Path, model: Model, start: Checkpoint, dataset: Dataset, batch_size: int
) -> float:
    """Median ms of a batch's gradient, with its way through a frozen backbone; one session at a time is in memory."""
    from device_runtime.engines.gradient_step import GradientStep
    from device_runtime.features import Backbone

    backbone = Backbone(folder / "features.onnx", threads) if model.features is not None else None
    step = GradientStep(folder, model, start.parameters, start.buffers.copy(), batch_size, threads)
    pixels, label = dataset.splits["train"].batch(np.arange(batch_size))

    def run() -> float:
        started = time.perf_counter()
        step.run(backbone.features(pixels) if backbone else pixels, label, 1)
        return time.perf_counter() - started

    # The first one learns how much memory to plan, the second one takes it.
    run()
    run()
    taken: list[float] = []
    while len(taken) < LEAST_TIMED or sum(taken) < TIMED_S:
        taken.append(run())
    return float(1000 * np.median(taken))
