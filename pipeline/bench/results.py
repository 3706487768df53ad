"""What is measured, as records: the table and build/bench.json are made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """One engine at one number of threads, or why it does not run here.

    Attributes:
      ms: per step, median of the rounds.
      lowered_ratio: the lowered engine's ms / this one's, median of the rounds' ratios: what slows the machine for a
        while slows both of a round.
      peak_memory_bytes: of the engine's process.
      base_memory_bytes: of it before it knew of the network: its imports, and something trivial done.
    """

    ms: float | None = None
    lowered_ratio: float | None = None
    peak_memory_bytes: int | None = None
    base_memory_bytes: int | None = None
    unavailable: str | None = None


@dataclass(frozen=True)
class Threads:
    """All engines at one number of threads.

    Attributes:
      engines: by name.
      product_flops_per_s: the rate of a matrix product, in FLOP per second.
      bound_ms: a step's FLOPs at that rate.
      bound_ratio: the lowered engine's ms / the bound, median of the rounds' ratios.
    """

    engines: Mapping[str, Timing]
    product_flops_per_s: float
    bound_ms: float
    bound_ratio: float


@dataclass(frozen=True)
class NetworkResult:
    """One network.

    Attributes:
      image: channels, height and width of what it takes; of what is no picture its shape.
      optimizer: as `--optimizer` takes it.
      runner_peak_memory_bytes, runner_base_memory_bytes: of the packaged runner in a short training, and before it
        read the model.
    """

    title: str
    image: tuple[int, ...]
    batch_size: int
    optimizer: str
    step_flops: int
    threads: Mapping[int, Threads]
    runner_peak_memory_bytes: int
    runner_base_memory_bytes: int


@dataclass(frozen=True)
class ConversionResult:
    """Photographs → BMP: images per second by the number of processes."""

    source: str
    images: int
    images_per_s: Mapping[int, float]


@dataclass(frozen=True)
class CacheResult:
    """Training on the features of a frozen backbone, on one thread.

    Attributes:
      pass_s: all images once through the backbone.
      epochs_s: `epochs` epochs by the packaged runner, the filling of the cache among them.
      uncached_epoch_s: an epoch with --no-cache, training and test images, extrapolated from `uncached_steps` steps.
    """

    images: int
    pass_s: float
    epochs: int
    epochs_s: float
    uncached_epoch_s: float
    uncached_steps: int


@dataclass(frozen=True)
class BenchResult:
    """Everything; photographs are measured on this machine alone."""

    target: str
    repeats: int
    networks: Mapping[str, NetworkResult]
    conversion: ConversionResult | None
    cache: CacheResult | None
