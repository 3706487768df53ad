"""`invoke bench`: ms per train step, the lowered engine beside its rivals, in one run.

Each engine runs in a process of its own, so that only one library's threads are awake; the processes take turns, round
by round, and the median over all rounds is reported. A rival gets the options that make it fastest.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.commands import run
from pipeline.files import new_file
from pipeline.prepare import make_package, prepare
from pipeline.progress import Progress
from pipeline.settings import Settings

ENGINES = ("lowered", "onnxruntime-training", "torch-eager")
THREADS = (1, 2)
BATCH = 32
TIMEOUT_S = 300.0
WORKERS = Path(__file__).parent / "bench_worker.py"


def bench(build: Path, repeats: int) -> None:
    """Measures, prints a table and writes build/bench.json."""
    settings = Settings("x86", None, "lenet", build, Path("runs"), 1)
    prepared = prepare(settings, Progress())
    package = make_package(prepared, settings, Progress())
    rounds: dict[int, dict[str, list[float]]] = {n: {engine: [] for engine in ENGINES} for n in THREADS}
    for _ in range(repeats):
        for threads in THREADS:
            for engine in ENGINES:
                rounds[threads][engine].append(_measure(engine, threads, package))
    medians = {n: {e: statistics.median(times) for e, times in engines.items()} for n, engines in rounds.items()}
    _print_table(medians)
    record = {"lenet": {"threads": {str(n): engines for n, engines in medians.items()}}}
    with new_file(build / "bench.json") as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")


def _measure(engine: str, threads: int, package: Path) -> float:
    """Milliseconds per step of one engine, in a fresh process."""
    site_packages = [str(package / "runtime" / "site-packages")] if engine == "lowered" else []
    environment = {
        "PYTHONPATH": ":".join([str(package), *site_packages, str(Path(__file__).parent.parent)]),
        "PYTHONSAFEPATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": str(threads),
        "PATH": "/usr/bin:/bin",
    }
    words: Sequence[str | Path] = (sys.executable, WORKERS, engine, str(threads), str(BATCH), package)
    output = run(words, timeout_s=TIMEOUT_S, env=environment)
    return float(output.split()[-1])


def _print_table(medians: dict[int, dict[str, float]]) -> None:
    print(f"LeNet, batch {BATCH}, Adam: ms per step, and lowered / rival")
    print(f"{'threads':>8}" + "".join(f"{engine:>24}" for engine in ENGINES))
    for threads, engines in medians.items():
        cells = "".join(_cell(engine, engines) for engine in ENGINES)
        print(f"{threads:>8}{cells}")


def _cell(engine: str, engines: dict[str, float]) -> str:
    if engine == "lowered":
        return f"{engines[engine]:>24.3f}"
    return f"{engines[engine]:>15.3f} ({engines['lowered'] / engines[engine]:.2f})".rjust(24)
