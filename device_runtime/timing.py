"""How long a step takes and what its process takes, a line of JSON for each round: for every engine that is measured.

It imports no engine: what one library takes is not to stand in another one's memory.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping

import numpy as np

from device_runtime.metrics import peak_memory_bytes

# So small that every round meets the network of the first one.
LEARNING_RATE = 1e-5
WARM_UP_STEPS = 2
LEAST_STEPS = 3

Record = Mapping[str, float | str]
Measure = Callable[[], Record]


def serve(measure: Measure) -> None:
    """Answers every line on stdin with what `measure` returns, as a line of JSON."""
    while sys.stdin.readline():
        answer(measure)


def answer(measure: Measure) -> None:
    """Prints what is measured now."""
    print(json.dumps(measure()), flush=True)


def timed(step: Callable[[], object], seconds: float, base_memory: int) -> Record:
    """What an engine answers: a step's median duration, its process's peak, and what was there before the model."""
    ms = median_ms(step, seconds)
    return {"ms": ms, "peak_memory_bytes": peak_memory_bytes(), "base_memory_bytes": base_memory}


def median_ms(step: Callable[[], object], seconds: float) -> float:
    """Median duration in ms of a step that is repeated, warm, for at least `seconds`."""
    return float(np.median(durations_ms(step, seconds)))


def durations_ms(step: Callable[[], object], seconds: float) -> list[float]:
    """Durations in ms of a step that is repeated, warm, for at least `seconds`."""
    for _ in range(WARM_UP_STEPS):
        step()
    times: list[float] = []
    while len(times) < LEAST_STEPS or sum(times) < seconds:
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    return [1000 * taken for taken in times]
