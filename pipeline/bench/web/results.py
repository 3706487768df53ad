"""What is measured in a browser, as records, and the table of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.tables.columns import columns

OURS, NATIVE, TFJS = "web", "native", "tensorflow.js"


@dataclass(frozen=True)
class Timing:
    """One engine.

    Attributes:
      ms: per step, median of the rounds.
      ratio: of ours in the browser / this one's, median of the rounds' ratios.
      losses: of the first step, and means of the 200 before the first turn and of the last turn; none of the native
        engine, whose images are random.
    """

    ms: float
    ratio: float
    losses: tuple[float, ...] = ()


@dataclass(frozen=True)
class WebResult:
    """A network in a browser: by number of threads each engine."""

    title: str
    browser: str
    image: tuple[int, ...]
    batch_size: int
    optimizer: str
    repeats: int
    threads: Mapping[int, Mapping[str, Timing]]


def lines_of(result: WebResult) -> Iterator[str]:
    """The table."""
    how = f"{'×'.join(map(str, result.image))}, batch {result.batch_size}, {result.optimizer}"
    yield f"{result.title}, {how}, in {result.browser}: ms per step (ours / it)"
    engines = list(next(iter(result.threads.values())))
    rows = [("threads", *engines)]
    for count, timings in result.threads.items():
        rows.append((str(count), *(_cell(engine, timings[engine]) for engine in engines)))
    yield from columns(rows, range(len(rows[0])))
    for engine, timing in next(iter(result.threads.values())).items():
        if timing.losses:
            yield f"{engine} trained: loss {timing.losses[0]:.4f} → {timing.losses[-1]:.4f}"


def _cell(engine: str, timing: Timing) -> str:
    return f"{timing.ms:.3f}" + ("" if engine == OURS else f" ({timing.ratio:.2f})")
