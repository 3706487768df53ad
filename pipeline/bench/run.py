"""`invoke bench`: the lowered engine beside its rivals, its arithmetic bound and its memory; what photographs cost.

Reads nothing but what it builds; prints tables and writes `build`/bench.json.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.bench.networks import Built, build_network
from pipeline.bench.photographs import list_photographs, measure_photographs
from pipeline.bench.results import BenchResult, NetworkResult
from pipeline.bench.steps import measure_here, measure_on
from pipeline.bench.table import cache_lines, conversion_lines, network_lines, to_json
from pipeline.bench.training import train
from pipeline.errors import UsageError
from pipeline.files import new_file
from pipeline.run import connect, push
from pipeline.settings import Settings

# The largest size is reached with the first steps and the evaluation after the last.
RUNNER_STEPS = 30


@dataclass(frozen=True)
class BenchOptions:
    """What to measure.

    Attributes:
      networks: names of `networks.NETWORKS`.
      repeats: interleaved rounds.
      seconds: least duration of an engine's turn in a round.
      data: a folder of photographs; None: generated ones.
      target: x86 for everything, arm64 for the lowered engine on a device.
      serial: the adb device, or None for the only one.
    """

    networks: tuple[str, ...]
    repeats: int
    seconds: float
    data: Path | None
    target: str
    serial: str | None
    build: Path


def bench(options: BenchOptions) -> None:
    """Measures, prints as it goes and writes build/bench.json.

    Raises:
      PipelineError: an option cannot be meant, the device is missing, or the lowered engine does not run.
    """
    here = options.target == "x86"
    if options.data:
        if not here:
            raise UsageError("--data: photographs are measured on this machine; leave it out, or use --target x86")
        list_photographs(options.data)
    # Before a network is built, which takes minutes for a device.
    connect(_settings(options), options.build)
    networks: dict[str, NetworkResult] = {}
    for name in options.networks:
        networks[name] = _measure_network(build_network(name, options.target, options.build), options)
        _print(*network_lines(networks[name]), "")
    conversion, cache = measure_photographs(options.data, options.build) if here else (None, None)
    if conversion and cache:
        _print(*conversion_lines(conversion), *cache_lines(cache))
    result = BenchResult(options.target, options.repeats, networks, conversion, cache)
    with new_file(options.build / "bench.json") as temporary:
        temporary.write_text(to_json(result))


def _measure_network(built: Built, options: BenchOptions) -> NetworkResult:
    target = push(_settings(options, built.network.model), built.package)
    runner = train(target, ["-c", str(RUNNER_STEPS)])
    if options.target == "x86":
        threads = measure_here(built, options.repeats, options.seconds, options.build)
    else:
        threads = measure_on(target, built.step_flops, options.repeats, options.seconds)
    recipe = built.prepared.recipe
    return NetworkResult(
        title=built.network.title,
        batch_size=recipe.batch_size,
        optimizer=recipe.optimizer.name,
        step_flops=built.step_flops,
        threads=threads,
        runner_peak_memory_bytes=runner.peak_memory_bytes,
    )


def _settings(options: BenchOptions, model: str = "lenet") -> Settings:
    return Settings(options.target, model, options.build, serial=options.serial)


def _print(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)
