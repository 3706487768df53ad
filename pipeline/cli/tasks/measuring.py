"""What is measured."""

from __future__ import annotations

from pipeline.cli.tasks.declaring import takes_options
from pipeline.settings import Settings
from pipeline.targets import WEB


@takes_options
def bench(settings: Settings) -> None:
    """Measure steps, memory and photographs against rivals."""
    if settings.fleet.fleet:
        from pipeline.bench.fleets import bench_fleets

        bench_fleets(settings, settings.fleet.fleet)
        return
    if settings.target == WEB:
        from pipeline.bench.web.run import bench_web

        bench_web(settings)
        return
    from pipeline.bench.run import bench as run_bench

    run_bench(settings)


TASKS = (bench,)
