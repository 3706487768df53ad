"""metrics.jsonl as curves over steps, and how the training went."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from device_runtime.formats.errors import FormatError
from device_runtime.formats.events import measure_in
from device_runtime.formats.metrics import MEASURES, Record, last_start, read_metrics, score_in

ENDED, INTERRUPTED, DIVERGED = "ended", "interrupted", "diverged"

# Of the first record, what is no option: it is told apart, or tells a reader nothing.
_TOLD_APART = ("event", "model", "digest", "engine", "time", "run", "package", "file")


@dataclass(frozen=True)
class Curve:
    """A number at some steps, in the order in which it was recorded."""

    steps: tuple[int, ...] = ()
    values: tuple[float, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.steps)


@dataclass(frozen=True)
class Sensors:
    """What the device told while it trained: memory in bytes, percent, °C; empty where it did not tell.

    Attributes:
      rss_bytes: memory that the runner held.
      hottest_celsius: of all its sensors.
    """

    rss_bytes: Curve
    battery_percent: Curve
    battery_celsius: Curve
    hottest_celsius: Curve


@dataclass(frozen=True)
class Training:
    """One training.

    Attributes:
      run: its id.
      package: digest of what it was started with.
      began: when, in this machine's time zone; None where the device's clock tells no time.
      options: its plan, by the names of the options.
      state: ended, interrupted or diverged.
      advice: of one that diverged, in which step, what happened and what to do.
      steps: number of the last update that was recorded.
      learning_rate, step_seconds: of each update, as `loss`.
      measure: the name of the number by which it is judged: accuracy, f1 or r2.
      score, evaluated: that of the last evaluation, and the split that it was of; None and empty where there was none.
      evaluated_step: number of the last update before it; of a training with `--best` that of the checkpoint.
      measures: what else the last evaluation found, by name.
      each: the records of its classes, labels or values, as the last evaluation found them.
      scores: over all samples of a split, by its name.
      sampled: that of some of the test samples, which reports on the way have.
      resumed: after which updates it went on.
      peak_memory_bytes: of the runner at its end.
      seconds: from the last start of the runner to its end.
    """

    model: str
    engine: str
    run: str
    package: str
    began: datetime | None
    options: Mapping[str, Any]
    state: str
    advice: str
    steps: int
    loss: Curve
    learning_rate: Curve
    step_seconds: Curve
    measure: str
    score: float | None
    evaluated: str
    evaluated_step: int
    measures: Mapping[str, float]
    each: Sequence[Record]
    scores: Mapping[str, Curve]
    sampled: Curve
    sensors: Sensors
    resumed: tuple[int, ...]
    peak_memory_bytes: int | None
    seconds: float | None

    @property
    def median_step_seconds(self) -> float | None:
        """What a step took."""
        return statistics.median(self.step_seconds.values) if self.step_seconds else None


def read_training(folder: Path) -> Training:
    """Reads the metrics.jsonl of a results folder.

    Raises:
      FormatError: it is damaged, or says of no training that it began.
    """
    records = read_metrics(folder)
    start = last_start(records)
    if start is None:
        raise FormatError(f"{folder}: metrics.jsonl says of no training that it began: pull again, or train again")
    steps = [record for record in records if record["event"] == "step"]
    evaluations = [record for record in records if record["event"] == "evaluation"]
    judged = [record for record in records if record["event"] in ("report", "evaluation")]
    measure = measure_in(judged[-1] if judged else {})
    end = records[-1]
    last = steps[-1]["step"] if steps else start["first"] - 1
    peak = _number(end, "peak_memory_bytes")
    return Training(
        model=start["model"],
        engine=start["engine"],
        run=start["run"],
        package=start["package"],
        began=_time(start["time"]),
        options={name: value for name, value in start.items() if name not in _TOLD_APART},
        state=_state(end),
        advice=f"step {end['step']}: {end.get('what', '')}: {end['advice']}" if end["event"] == "diverged" else "",
        steps=last,
        loss=_curve(steps, "loss"),
        learning_rate=_curve(steps, "learning_rate"),
        step_seconds=_curve(steps, "seconds"),
        measure=measure,
        score=score_in(evaluations[-1]) if evaluations else None,
        evaluated=evaluations[-1]["split"] if evaluations else "",
        evaluated_step=evaluations[-1]["step"] if evaluations else last,
        measures=_others(evaluations[-1], measure) if evaluations else {},
        each=_each(records),
        scores=_by_split(evaluations, measure),
        sampled=_curve(records, measure, lambda record: record["event"] == "report"),
        sensors=_sensors(records),
        resumed=tuple(record["step"] for record in records if record["event"] == "resume" and _number(record, "step")),
        peak_memory_bytes=None if peak is None else int(peak),
        seconds=_number(end, "seconds") if end["event"] == "end" else None,
    )


def _state(last: Record) -> str:
    return {"end": ENDED, "diverged": DIVERGED}.get(last["event"], INTERRUPTED)


def _time(seconds: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds)
    except (ValueError, OverflowError, OSError):
        return None


def _others(evaluation: Record, measure: str) -> Mapping[str, float]:
    known = ((name, _number(evaluation, name)) for name in MEASURES if name != measure)
    return {name: float(value) for name, value in known if value is not None}


def _each(records: Sequence[Record]) -> list[Record]:
    """Those behind the last evaluation."""
    found: list[Record] = []
    for record in records:
        if record["event"] == "evaluation":
            found = []
        elif record["event"] == "class":
            found.append(record)
    return found


def _by_split(evaluations: Sequence[Record], measure: str) -> Mapping[str, Curve]:
    splits = dict.fromkeys(record["split"] for record in evaluations)
    return {split: _curve((r for r in evaluations if r["split"] == split), measure) for split in splits}


def _sensors(records: Sequence[Record]) -> Sensors:
    told = [record for record in records if record["event"] == "device"]
    names = ("rss_bytes", "battery_percent", "battery_celsius", "hottest_celsius")
    return Sensors(*(_curve(told, name) for name in names))


def _curve(records: Iterable[Record], name: str, wanted: Callable[[Record], bool] = lambda record: True) -> Curve:
    """A field of those records that have it as a number."""
    points = [
        (step, value)
        for record in records
        if wanted(record)
        and (value := _number(record, name)) is not None
        and (step := _number(record, "step")) is not None
    ]
    return Curve(tuple(int(step) for step, _ in points), tuple(float(value) for _, value in points))


def _number(record: Record, name: str) -> int | float | None:
    value = record.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
