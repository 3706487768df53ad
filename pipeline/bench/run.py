"""`invoke bench`: the lowered engine beside its rivals, its arithmetic bound and its memory; what photographs cost.

Reads nothing but what it builds; prints tables and writes `build`/bench.json.
"""

from __future__ import annotations

from dataclasses import replace

from pipeline.bench.building import Built, build_network
from pipeline.bench.networks import check_names, choose, is_own
from pipeline.bench.photographs import list_photographs, measure_photographs
from pipeline.bench.results import BenchResult, NetworkResult
from pipeline.bench.steps import LOWERED, measure_here, measure_on
from pipeline.bench.table import cache_lines, conversion_lines, network_lines, to_json
from pipeline.bench.training import train
from pipeline.errors import UsageError
from pipeline.files import new_file
from pipeline.optimizers import written
from pipeline.progress import note
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
    check_names(settings)
    here = settings.kind.is_here
    if settings.data:
        if not here:
            raise UsageError("--data: photographs are measured on this machine; leave it out, or --target and --serial")
        list_photographs(settings.data)
    # Before a network is built, which takes minutes for a device.
    connect(settings, settings.build)
    chosen = choose(settings)
    result = BenchResult(settings.kind.name, settings.repeats, {}, None, None)
    for number, measured in enumerate(chosen, start=1):
        note(f"{measured.title}, {number} of {len(chosen)}: is built and compared with torch")
        network = _measure_network(build_network(measured, settings), settings)
        _print(*network_lines(network), "")
        # As far as it is: who measures ten networks may stop at the ninth.
        result = replace(result, networks={**result.networks, measured.name: network})
        _write(result, settings)
    # Who names a network is not asking for what photographs cost.
    if here and (settings.data or not (settings.networks or is_own(settings))):
        note("photographs are converted, and trained on")
        conversion, cache = measure_photographs(settings.data, settings.build)
        _print(*conversion_lines(conversion), *cache_lines(cache))
        _write(replace(result, conversion=conversion, cache=cache), settings)


def _write(result: BenchResult, settings: Settings) -> None:
    with new_file(settings.build / "bench.json") as temporary:
        temporary.write_text(to_json(result))


def _measure_network(built: Built, settings: Settings) -> NetworkResult:
    target = free_target(settings, built.package)
    rescue(target, settings, built.package)
    push(target, built.package)
    note(f"{built.measured.title}: the runner trains {RUNNER_STEPS} steps")
    runner = train(target, ["-c", str(RUNNER_STEPS)])
    engines = (LOWERED, *(built.measured.rivals if settings.kind.is_here else ()))
    note(f"{built.measured.title}: {', '.join(engines)} are measured in {settings.repeats} rounds")
    if settings.kind.is_here:
        threads = measure_here(built, settings.repeats, settings.seconds)
    else:
        threads = measure_on(target, built.step_flops, settings.repeats, settings.seconds)
    recipe = built.prepared.recipe
    return NetworkResult(
        title=built.measured.title,
        image=built.image,
        batch_size=recipe.batch_size,
        optimizer=written(recipe.optimizer),
        step_flops=built.step_flops,
        threads=threads,
        runner_peak_memory_bytes=runner.peak_memory_bytes,
        runner_base_memory_bytes=runner.base_memory_bytes,
    )


def _print(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)
