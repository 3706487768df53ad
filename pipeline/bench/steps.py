"""Times the train steps of one network: on this machine all engines in turns, on a device the lowered one alone.

Each engine runs in a process of its own, which is stopped while another one is measured, and answers once a round. The
first answer says that it is set up and is not counted; of the others the median is taken.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pipeline
from pipeline.bench.building import PRODUCT_FLOPS, Built
from pipeline.bench.results import Threads, Timing
from pipeline.bench.training import Answer, answers_of
from pipeline.commands import converse
from pipeline.targets import Runs

LOWERED, PRODUCT = "lowered", "product"
THREADS = (1, 2)
# torch.compile compiles before its first answer, ExecuTorch's program is exported.
TIMEOUT_S = 1200.0

# By engine and number of threads.
Answers = Mapping[tuple[str, int], list[Answer]]


def measure_here(built: Built, repeats: int, seconds: float) -> dict[int, Threads]:
    """Every engine at each number of threads, in `repeats` rounds of at least `seconds` each."""
    answers: dict[tuple[str, int], list[Answer]] = {}
    with ExitStack() as running:
        asks: dict[tuple[str, int], Callable[[], str]] = {}
        for threads in THREADS:
            for engine in (LOWERED, *built.measured.rivals, PRODUCT):
                command, environment = worker(engine, threads, built, seconds)
                ask = running.enter_context(converse(command, timeout_s=TIMEOUT_S, env=environment))
                first = json.loads(ask())
                answers[engine, threads] = [first] if "unavailable" in first else []
                if not answers[engine, threads]:
                    asks[engine, threads] = ask
        for _ in range(repeats):
            for name, ask in asks.items():
                answers[name].append(json.loads(ask()))
    return summary_of(answers, built.step_flops)


def measure_on(target: Runs, step_flops: int, repeats: int, seconds: float) -> dict[int, Threads]:
    """The lowered engine on a device that has the package, in as many rounds."""
    answers: dict[tuple[str, int], list[Answer]] = {}
    for threads in THREADS:
        for engine, part in ((LOWERED, "step"), (PRODUCT, PRODUCT)):
            options = (part, "--threads", str(threads), "--rounds", str(repeats + 1), "--seconds", str(seconds))
            answers[engine, threads] = answers_of(target, options)[1:]
    return summary_of(answers, step_flops)


def worker(engine: str, threads: int, built: Built, seconds: float) -> tuple[Sequence[str | Path], Mapping[str, str]]:
    """Command and environment of an engine's process."""
    environment = {
        **os.environ,
        "PYTHON": sys.executable,
        "PYTHONPATH": str(Path(pipeline.__file__).parent.parent),
        "PYTHONSAFEPATH": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": "1",
        # What torch.compile compiled is kept with everything else that can be built again.
        "TORCHINDUCTOR_CACHE_DIR": str((built.package.parent.parent / "inductor").resolve()),
    }
    if engine not in (LOWERED, PRODUCT):
        rival = ("-m", "pipeline.bench.rivals", engine, built.task.file, str(threads), str(seconds))
        return (sys.executable, *rival), environment
    part = PRODUCT if engine == PRODUCT else "step"
    options = ("--threads", str(threads), "--seconds", str(seconds), "--wait")
    return ("sh", built.package / "bench.sh", part, *options), environment


def summary_of(answers: Answers, step_flops: int) -> dict[int, Threads]:
    """Medians of the rounds that each engine, and the product, answered at each number of threads."""
    summary: dict[int, Threads] = {}
    for threads in THREADS:
        lowered, product = (_ms(answers[name, threads]) for name in (LOWERED, PRODUCT))
        bounds = [ms * step_flops / PRODUCT_FLOPS for ms in product]
        engines = [name for name, count in answers if count == threads and name != PRODUCT]
        summary[threads] = Threads(
            {name: _timing(answers[name, threads], lowered) for name in engines},
            PRODUCT_FLOPS / statistics.median(product) * 1000,
            statistics.median(bounds),
            median_ratio(lowered, bounds),
        )
    return summary


def _timing(answers: Sequence[Answer], lowered: Sequence[float]) -> Timing:
    if "unavailable" in answers[0]:
        return Timing(unavailable=answers[0]["unavailable"])
    ms = _ms(answers)
    peak, base = (max(answer[f"{name}_memory_bytes"] for answer in answers) for name in ("peak", "base"))
    return Timing(statistics.median(ms), median_ratio(lowered, ms), peak, base)


def _ms(answers: Sequence[Answer]) -> list[float]:
    return [float(answer["ms"]) for answer in answers]


def median_ratio(values: Sequence[float], others: Sequence[float]) -> float:
    """Of the rounds' ratios."""
    return statistics.median(value / other for value, other in zip(values, others, strict=True))
