"""report.html of a fleet's results folder: one file that opens anywhere, as that of a training."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import in_line
from pipeline.fleet.charts import cost_charts, device_charts, global_charts, partition_chart
from pipeline.fleet.history import History, Member, read_history
from pipeline.results.pages.facts import UNKNOWN, duration, mebibytes
from pipeline.results.pages.page import write_page
from pipeline.results.pages.report import FILE_NAME


def write_report(results: Path) -> Path:
    """Writes report.html of a results folder, also of a fleet that has not ended; returns its path.

    Raises:
      FormatError: its fleet.jsonl is missing or damaged.
      PipelineError: the page cannot be written.
    """
    history = read_history(results)
    members, start = history.members, history.start
    path = results / FILE_NAME
    write_page(
        "fleet.html",
        path,
        title=f"{in_line(start['model'])} on {_many(len(members), 'device')}",
        subtitle=f"began {history.began:%Y-%m-%d %H:%M:%S}" if history.began else "",
        state=history.state,
        done=max(history.costs, default=0),
        said=" ".join(_sentences(history)),
        tiles=_tiles(history),
        charts=global_charts(history),
        by_device=device_charts(history),
        costs=cost_charts(history.costs),
        partition=partition_chart(members, start["classes"]),
        devices=[_device_row(member) for member in members],
        ending=_ending(members),
        personalised=history.steps,
        missing=[(missing.device, _spans(missing.rounds), missing.why) for missing in history.missing],
        asked=_asked(history),
    )
    return path


def _sentences(history: History) -> list[str]:
    """What happened."""
    start, accuracy = history.start, history.told_accuracy
    done, epochs = max(history.costs, default=0), start["local_epochs"]
    samples = f"samples parted {in_line(start['partition'])}" if start["partition"] else "each with samples of its own"
    devices = _many(len(history.members), "device")
    said = [
        f"{in_line(start['model'])} was trained by {in_line(history.strategy)} on {devices} in {_many(done, 'round')} "
        f"of {_many(epochs, 'local epoch')}, {samples}."
    ]
    if accuracy:
        where = "all test samples" if history.accuracy else "the devices' own test samples"
        said.append(f"Accuracy on {where}: {accuracy.values[0]:.4g} before, {accuracy.values[-1]:.4g} after.")
    if history.centralised:
        reached = history.centralised["accuracy"]
        said.append(f"A training of the same length with all samples in one place reaches {reached:.4g}.")
    return said


def _tiles(history: History) -> list[tuple[str, str]]:
    accuracy = history.told_accuracy.values
    seconds = [cost.seconds for cost in history.costs.values()]
    own = [cost.own for cost in history.costs.values()]
    return [
        ("accuracy", f"{accuracy[-1]:.4g}" if accuracy else ""),
        ("rounds", f"{len(history.costs):,} of {history.start['rounds']:,}"),
        ("state", history.state),
        ("time of a round", duration(statistics.median(seconds)) if seconds else ""),
        ("beyond its slowest device", duration(statistics.median(own)) if own else ""),
        ("took", "" if history.seconds is None else duration(history.seconds)),
    ]


def _asked(history: History) -> list[tuple[str, str]]:
    start = history.start
    return [
        ("strategy", in_line(history.strategy)),
        ("rounds", f"{start['rounds']:,}"),
        ("local epochs", f"{start['local_epochs']:,}"),
        ("partition", in_line(start["partition"] or "each device's own data")),
        ("fraction of devices", f"{start['fraction']:g}"),
        ("compress", in_line(start["compress"] or "no")),
        ("seed", str(start["seed"])),
        ("parameters", f"{start['parameters']:,}"),
        ("each way", _size(start["array_bytes"])),
    ]


def _device_row(member: Member) -> list[str]:
    memory = mebibytes(member.memory_bytes) if member.memory_bytes else UNKNOWN
    train, test = (f"{sum(counts):,}" if counts else UNKNOWN for counts in (member.train, member.test))
    cores = UNKNOWN if member.cores is None else str(member.cores)
    return [in_line(member.device), in_line(member.name) or UNKNOWN, cores, memory, train, test, f"{member.rounds:,}"]


def _ending(members: Sequence[Member]) -> list[list[str]]:
    """Device and accuracy of the global model, and where any device trained on, of its own and what it gained."""
    known = [
        (in_line(member.device), member.last, member.personalised) for member in members if member.last is not None
    ]
    if all(after is None for _, _, after in known):
        return [[device, f"{last:.4g}"] for device, last, _ in known]
    return [
        [device, f"{last:.4g}", *([UNKNOWN] * 2 if after is None else [f"{after:.4g}", f"{after - last:+.3f}"])]
        for device, last, after in known
    ]


def _size(size_bytes: float) -> str:
    """`241 KiB`, `12.5 MiB`."""
    return f"{size_bytes / 2**10:,.0f} KiB" if size_bytes < 2**20 else f"{size_bytes / 2**20:,.1f} MiB"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _spans(numbers: Sequence[int]) -> str:
    """`2 to 5, 8`."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in spans)
