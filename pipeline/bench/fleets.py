"""`invoke bench --fleet`: what a round costs with more and more local devices, and what is lost in float16.

Trains real fleets one after another; prints a table and writes `build`/bench-fleet.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from pipeline.errors import UsageError
from pipeline.files import new_file
from pipeline.fleet.options.devices import Devices
from pipeline.fleet.records import of, read
from pipeline.fleet.run import begin
from pipeline.progress import note
from pipeline.settings import Settings
from pipeline.tables.columns import columns

MB = 1e6


@dataclass(frozen=True)
class FleetResult:
    """A fleet's rounds: medians of seconds, all devices' bytes in one of them, and the last model's accuracy.

    Attributes:
      devices: local ones.
      dtype: in which parameters travel.
      seconds: of a round, asking included.
      own_seconds: of these beyond the slowest device's push, training and pull, without asking.
      asking_seconds: of devices whether they can take part.
      pushed_bytes, pulled_bytes: to all devices, and back.
      accuracy: on all test images.
    """

    devices: int
    dtype: str
    seconds: float
    own_seconds: float
    asking_seconds: float
    pushed_bytes: int
    pulled_bytes: int
    accuracy: float | None


def bench_fleets(settings: Settings, counts: Sequence[int]) -> None:
    """Measures fleets of so many devices, and the largest once more in float16.

    Raises:
      PipelineError: an option cannot be meant, or a fleet cannot train.
    """
    if not settings.kind.is_here:
        raise UsageError("--fleet measures devices of this machine: leave out --target and --serial")
    results: list[FleetResult] = []
    for count, compress in [*((count, None) for count in counts), (max(counts), "float16")]:
        note(f"a fleet of {count} in {compress or 'float32'} trains {settings.repeats} rounds")
        results.append(_measured(settings, count, compress))
    with new_file(settings.build / "bench-fleet.json") as temporary:
        temporary.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")
    print(*fleet_lines(results), sep="\n", flush=True)


def _measured(settings: Settings, count: int, compress: str | None) -> FleetResult:
    asked = replace(settings.fleet, devices=Devices(local=count), rounds=settings.repeats, compress=compress)
    folder = begin(replace(settings, fleet=asked, runs=settings.build / "bench" / "fleets"), {})
    return result_of(folder)


def result_of(folder: Path) -> FleetResult:
    """What a fleet's results folder says of its rounds."""
    records = read(folder)
    start, rounds, updates = of(records, "start")[0], of(records, "round"), of(records, "update")
    last = [update for update in updates if update["round"] == rounds[-1]["round"]]
    asking = [record["asking_seconds"] or 0.0 for record in rounds]
    return FleetResult(
        devices=len(of(records, "device")),
        dtype=start["compress"] or "float32",
        seconds=median(record["seconds"] + asked for record, asked in zip(rounds, asking, strict=True)),
        own_seconds=median(record["own_seconds"] for record in rounds),
        asking_seconds=median(asking),
        pushed_bytes=sum(update["pushed_bytes"] for update in last),
        pulled_bytes=sum(update["pulled_bytes"] for update in last),
        accuracy=of(records, "end")[0]["accuracy"],
    )


def fleet_lines(results: Sequence[FleetResult]) -> Iterator[str]:
    """The table."""
    yield "seconds a round, MB to all devices and back, accuracy after the last round"
    rows: list[tuple[str, ...]] = [
        ("devices", "in", "s", "beyond training, push, pull", "asking", "MB there", "MB back", "accuracy")
    ]
    whole = {result.devices: result.accuracy for result in results if result.dtype == "float32"}
    for result in results:
        seconds = (f"{s:.2f}" for s in (result.seconds, result.own_seconds, result.asking_seconds))
        sizes = (f"{size / MB:.2f}" for size in (result.pushed_bytes, result.pulled_bytes))
        rows.append((str(result.devices), result.dtype, *seconds, *sizes, _accuracy(result, whole[result.devices])))
    yield from columns(rows, {0, 2, 3, 4, 5, 6})


def _accuracy(result: FleetResult, whole: float | None) -> str:
    if result.accuracy is None:
        return ""
    lost = "" if result.dtype == "float32" or whole is None else f" ({result.accuracy - whole:+.4f})"
    return f"{result.accuracy:.4f}{lost}"
