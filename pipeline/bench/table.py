"""The results as text for a person and as JSON for a program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

from pipeline.bench.results import BenchResult, CacheResult, ConversionResult, NetworkResult, Threads, Timing
from pipeline.bench.steps import LOWERED

MIB = 2**20


def to_json(result: BenchResult) -> str:
    """All results; ms, bytes, images and seconds as the names say."""
    return json.dumps(asdict(result), indent=1) + "\n"


def network_lines(network: NetworkResult) -> Iterator[str]:
    """The table of one network."""
    how = f"{'×'.join(map(str, network.image))}, batch {network.batch_size}, {network.optimizer}"
    flops = f"{network.step_flops / 1e6:.0f} MFLOP a step"
    yield f"{network.title}, {how}, {flops}: ms per step (lowered / it)"
    engines = list(next(iter(network.threads.values())).engines)
    rows = [("threads", *engines, "arithmetic bound")]
    for count, threads in network.threads.items():
        rows.append((str(count), *(_cell(threads, engine) for engine in engines), _bound(threads)))
        timings = [threads.engines[engine] for engine in engines]
        rows.append(("peak", *map(_peak, timings), f"{threads.product_flops_per_s / 1e9:.3g} GFLOP/s"))
        rows.append(("above base", *map(_above, timings), ""))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
    for engine, reason in _unavailable(network).items():
        yield f"{engine} does not run here: {reason}"
    peak, base = network.runner_peak_memory_bytes, network.runner_base_memory_bytes
    yield (
        f"peak resident memory of the runner while training: {peak / MIB:.0f} MiB, "
        f"{(peak - base) / MIB:.0f} MiB above its base (imports and an empty session)"
    )


def conversion_lines(conversion: ConversionResult) -> Iterator[str]:
    """The conversion of photographs."""
    rates = ", ".join(
        f"{rate:.0f} images/s with {workers} process{'es' if workers > 1 else ''}"
        for workers, rate in conversion.images_per_s.items()
    )
    yield f"conversion of {conversion.images} photographs ({conversion.source}): {rates}"


def cache_lines(cache: CacheResult) -> Iterator[str]:
    """The feature cache."""
    yield f"frozen EfficientNet-Lite0, {cache.images} images, 1 thread:"
    yield f"  one pass of all images through the backbone: {cache.pass_s:.2f} s"
    yield (
        f"  {cache.epochs} epochs with the feature cache, filling it included: {cache.epochs_s:.2f} s "
        f"({cache.epochs_s / cache.pass_s:.2f} times one pass)"
    )
    uncached_s = cache.uncached_epoch_s * cache.epochs
    yield (
        f"  {cache.epochs} epochs with --no-cache, extrapolated from {cache.uncached_steps} steps: {uncached_s:.0f} s "
        f"({cache.uncached_epoch_s:.2f} s an epoch)"
    )


def _cell(threads: Threads, engine: str) -> str:
    timing = threads.engines[engine]
    if timing.ms is None:
        return "does not run"
    return f"{timing.ms:.3f}" + ("" if engine == LOWERED else f" ({timing.lowered_ratio:.2f})")


def _bound(threads: Threads) -> str:
    return f"{threads.bound_ms:.3f} ({threads.bound_ratio:.2f})"


def _peak(timing: Timing) -> str:
    return "" if timing.peak_memory_bytes is None else f"{timing.peak_memory_bytes / MIB:.0f} MiB"


def _above(timing: Timing) -> str:
    """What of the peak is the network's."""
    if timing.peak_memory_bytes is None or timing.base_memory_bytes is None:
        return ""
    return f"{(timing.peak_memory_bytes - timing.base_memory_bytes) / MIB:.0f} MiB"


def _unavailable(network: NetworkResult) -> dict[str, str]:
    """Why engines do not run here."""
    timings = (item for threads in network.threads.values() for item in threads.engines.items())
    return {engine: timing.unavailable for engine, timing in timings if timing.unavailable}
