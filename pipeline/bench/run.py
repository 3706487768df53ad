"""`invoke bench`: the lowered engine beside its rivals, its arithmetic bound and its memory; what photographs cost.

Reads nothing but what it builds; prints tables and writes `build`/bench.json.
"""

from __future__ import annotations

from pipeline.bench.networks import Built, build_network, choose
from pipeline.bench.photographs import list_photographs, measure_photographs
from pipeline.bench.results import BenchResult, NetworkResult
from pipeline.bench.steps import measure_here, measure_on
from pipeline.bench.table import cache_lines, conversion_lines, network_lines, to_json
from pipeline.bench.training import train
from pipeline.errors import UsageError
from pipeline.files import new_file
from pipeline.results.bring import rescue
from pipeline.run import connect, free_target, push
from pipeline.settings import Settings

# The largest size is reached with the first steps and the evaluation after the last.
RUNNER_STEPS = 30


def bench(settings: Settings) -> None:
    """Measures, prints as it goes and writes build/bench.json.

    Raises:
      PipelineError: an option cannot be meant, the device is missing, or the lowered engine does not run.
    """
    names = choose(settings.networks)
    here = settings.kind.is_here
    if settings.data:
        if not here:
            raise UsageError("--data: photographs are measured on this machine; leave it out, or --target and --serial")
        list_photographs(settings.data)
    # Before a network is built, which takes minutes for a device.
    connect(settings, settings.build)
    networks: dict[str, NetworkResult] = {}
    for name in names:
        networks[name] = _measure_network(build_network(name, settings), settings)
        _print(*network_lines(networks[name]), "")
    conversion, cache = measure_photographs(settings.data, settings.build) if here else (None, None)
    if conversion and cache:
        _print(*conversion_lines(conversion), *cache_lines(cache))
    result = BenchResult(settings.kind.name, settings.repeats, networks, conversion, cache)
    with new_file(settings.build / "bench.json") as temporary:
        temporary.write_text(to_json(result))


def _measure_network(built: Built, settings: Settings) -> NetworkResult:
    target = free_target(settings, built.package)
    rescue(target, settings, built.package)
    push(target, built.package)
    runner = train(target, ["-c", str(RUNNER_STEPS)])
    if settings.kind.is_here:
        threads = measure_here(built, settings.repeats, settings.seconds, settings.build)
    else:
        threads = measure_on(target, built.step_flops, settings.repeats, settings.seconds)
    recipe = built.prepared.recipe
    return NetworkResult(
        title=built.network.title,
        batch_size=recipe.batch_size,
        optimizer=recipe.optimizer.name,
        step_flops=built.step_flops,
        threads=threads,
        runner_peak_memory_bytes=runner.peak_memory_bytes,
    )


def _print(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)
