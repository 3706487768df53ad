"""What can be told of results in a word or a number, in groups: a report lists it, a comparison lays it out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import in_line
from pipeline.results.records.results import Results
from pipeline.results.records.training import Training

RESULT, MODEL, DEVICE, DATA, OPTIONS, VERSIONS = "Result", "Model", "Device", "Data", "Options", "Versions"

UNKNOWN = "—"

# Of the plan, what no option of that name says.
_CALLED = {
    "first": "first step",
    "last": "last step",
    "schedule_first": "schedule begins at step",
    "schedule_last": "schedule ends at step",
    "by_epochs": "line per epoch",
}


@dataclass(frozen=True)
class Fact:
    """One thing that is known; `value` is empty where it is not, or was not asked for."""

    group: str
    name: str
    value: str


def facts_of(results: Results) -> list[Fact]:
    """All of them, in the order in which they are shown."""
    return [
        *_facts(RESULT, result_rows(results.training)),
        *_facts(MODEL, _model_rows(results)),
        *_facts(DEVICE, _device_rows(results)),
        *_facts(DATA, _data_rows(results)),
        *_facts(OPTIONS, [(_called(name), _text(value)) for name, value in results.training.options.items()]),
        *_facts(VERSIONS, sorted(results.versions.items())),
    ]


def result_rows(training: Training) -> list[tuple[str, str]]:
    """How it went, in a number each: pairs of a name and a value."""
    step, memory = training.median_step_seconds, _memory(training)
    return [
        (training.measure, _score(training)),
        ("steps", f"{training.steps:,}"),
        ("state", training.state),
        ("time per step", "" if step is None else f"{1000 * step:.3g} ms"),
        ("peak memory", "" if memory is None else mebibytes(memory)),
        ("took", "" if training.seconds is None else duration(training.seconds)),
    ]


def _score(training: Training) -> str:
    """With the split that it is of, and the step where that is not the last one."""
    if training.score is None:
        return ""
    after = f", after step {training.evaluated_step:,}" if training.evaluated_step != training.steps else ""
    return f"{training.score:.4g} ({training.evaluated}{after})"


def mebibytes(size_bytes: float) -> str:
    """As memory is told."""
    return f"{size_bytes / 2**20:,.0f} MiB"


def duration(seconds: float) -> str:
    """`8.1 s`, `12 min 5 s`, `3 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60} min"


def _facts(group: str, rows: Sequence[tuple[str, str]]) -> Iterator[Fact]:
    return (Fact(group, in_line(name), in_line(value)) for name, value in rows)


def _memory(training: Training) -> float | None:
    """Of a training without an end, the most that was seen."""
    return training.peak_memory_bytes or max(training.sensors.rss_bytes.values, default=None)


def _model_rows(results: Results) -> list[tuple[str, str]]:
    training, about = results.training, results.about
    began = training.began
    made = (
        [("input", about.input), ("parameters", f"{about.parameters:,}"), ("optimizer", about.optimizer)]
        if about
        else []
    )
    return [
        ("model", training.model),
        *made,
        ("began", f"{began:%Y-%m-%d %H:%M:%S}" if began else ""),
        ("engine", training.engine),
        ("measures", ", ".join(f"{name} {value:.4g}" for name, value in training.measures.items())),
        ("checked", about.check.removeprefix("checked ") if about else ""),
    ]


def _device_rows(results: Results) -> list[tuple[str, str]]:
    machine = results.machine
    if machine is None:
        return [("target", results.target)]
    return [
        ("target", results.target),
        ("device", machine.model),
        ("system", machine.system),
        ("ABI", machine.abi),
        ("processor", machine.processor),
        ("cores", _text(machine.cores)),
        ("memory", mebibytes(machine.memory_bytes) if machine.memory_bytes else ""),
        ("serial", machine.serial),
    ]


def _data_rows(results: Results) -> list[tuple[str, str]]:
    about = results.about
    found = [("data", about.data[0] if about.data else ""), ("classes", f"{len(about.classes):,}")] if about else []
    return [*found, ("digest", results.data_digest)]


def _called(name: str) -> str:
    return _CALLED.get(name, name.replace("_", " "))


def _text(value: Any) -> str:
    """An option's value; empty where it was not asked for."""
    if value is None or value is False:
        return ""
    if value is True:
        return "yes"
    return f"{value:g}" if isinstance(value, float) else str(value)
