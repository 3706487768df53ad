"""fleet.jsonl as what a report shows: curves over rounds, and what became of each device.

Only whole rounds count: of one that was killed the records of its devices are left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from device_runtime.formats.errors import FormatError
from pipeline.fleet.options.strategy import STRATEGIES
from pipeline.fleet.records import FILE_NAME, Record, of, read, rounds
from pipeline.results.records.training import ENDED, INTERRUPTED, Curve


@dataclass(frozen=True)
class Member:
    """A device of a fleet; empty and None where something is not known.

    Attributes:
      device: its name in the fleet.
      name: what it is.
      train, test: its images of each class.
      rounds: in how many it took part.
      given: accuracy of the global model on its test images, at the round that made that model; 0: before the first.
      trained: accuracy of its own model there, when it had trained in a round.
      last: accuracy of the last global model.
      personalised: the same after steps of its own.
    """

    device: str
    name: str
    cores: int | None
    memory_bytes: int | None
    train: tuple[int, ...]
    test: tuple[int, ...]
    rounds: int
    given: Curve
    trained: Curve
    last: float | None
    personalised: float | None


@dataclass(frozen=True)
class Missing:
    """A device gave nothing in these rounds, for the same reason."""

    device: str
    rounds: tuple[int, ...]
    why: str


@dataclass(frozen=True)
class Cost:
    """What a round took.

    Attributes:
      push, train, pull: seconds of the device that took longest.
      own: all other seconds.
      pushed_bytes, pulled_bytes: of all devices.
    """

    push: float
    train: float
    pull: float
    own: float
    pushed_bytes: int
    pulled_bytes: int

    @property
    def seconds(self) -> float:
        """All of them."""
        return self.push + self.train + self.pull + self.own


@dataclass(frozen=True)
class History:
    """One federated training.

    Attributes:
      start: its first record.
      state: ended or interrupted.
      began: in this machine's time zone; None where that is no time.
      resumed: after which rounds it went on.
      loss: mean of the devices' steps.
      test_loss, accuracy: of the global model on all test images, at the round that made it; 0: before the first.
      mean_accuracy: of the global model on the test images of those devices that had it, likewise.
      centralised: of a training on all images in one place.
      members: the devices, in the order in which they were seen.
      missing: who was missing and why.
      costs: of each whole round, by its number.
      steps: of each device's own, after the last round.
      seconds: from the beginning to the end, with what lay between; None while it has none.
    """

    start: Record
    state: str
    began: datetime | None
    resumed: tuple[int, ...]
    loss: Curve
    test_loss: Curve
    accuracy: Curve
    mean_accuracy: Curve
    centralised: Record | None
    members: tuple[Member, ...]
    missing: tuple[Missing, ...]
    costs: Mapping[int, Cost]
    steps: int
    seconds: float | None

    @property
    def strategy(self) -> str:
        """Its name as Flower writes it, with the options that were given."""
        name, *options = str(self.start["strategy"]).split(",")
        return " with ".join(filter(None, (STRATEGIES.get(name, name), ", ".join(options))))

    @property
    def told_accuracy(self) -> Curve:
        """On all test images, or where they are not in one place on those of the devices."""
        return self.accuracy or self.mean_accuracy


def read_history(folder: Path) -> History:
    """Reads fleet.jsonl of a results folder.

    Raises:
      FormatError: it is missing or damaged.
    """
    records = read(folder)
    starts, ends, evaluations = of(records, "start"), of(records, "end"), of(records, "evaluation")
    if not starts:
        raise FormatError(f"{folder / FILE_NAME} does not say how it began: nothing can be told of it")
    whole = {record["round"]: record for record in rounds(records)}
    # Of a round that was made twice the later one counts.
    given = {(r["round"], r["device"]): r for r in of(records, "update") if r["round"] in whole}
    updates = list(given.values())
    absent = [r for r in of(records, "missing") if r["round"] in whole and (r["round"], r["device"]) not in given]
    members = _members(records, updates)
    known = {record["round"]: record for record in of(records, "global")}
    in_round = _by("round", updates)
    return History(
        start=starts[0],
        state=ENDED if ends else INTERRUPTED,
        began=_moment(starts[0]["time"]),
        resumed=tuple(record["round"] for record in of(records, "resume")),
        loss=_curve({number: record["loss"] for number, record in whole.items()}),
        test_loss=_curve({number: record["test_loss"] for number, record in known.items()}),
        accuracy=_curve({number: record["accuracy"] for number, record in known.items()}),
        mean_accuracy=_mean_accuracy(members),
        centralised=next(iter(of(records, "centralised")), None),
        members=members,
        missing=_missing(absent),
        costs={number: _cost(whole[number], in_round.get(number, [])) for number in sorted(whole)},
        steps=max((record["steps"] for record in evaluations), default=0),
        seconds=ends[-1]["seconds"] if ends else None,
    )


def _members(records: Sequence[Record], updates: Sequence[Record]) -> tuple[Member, ...]:
    told = {record["device"]: record for record in of(records, "device")}
    at_the_end = {record["device"]: record for record in of(records, "evaluation")}
    last_round = max((record["round"] for record in of(records, "round")), default=0)
    # Some were never seen: they were only waited for.
    names = dict.fromkeys([*told, *(r["device"] for r in updates), *(r["device"] for r in of(records, "missing"))])
    by_device = _by("device", updates)
    found = []
    for device in names:
        own = by_device.get(device, [])
        last = at_the_end.get(device, {})
        given = {record["round"] - 1: record["accuracy_before"] for record in own}
        given |= {last_round: last["accuracy"]} if last else {}
        said = told.get(device, {})
        found.append(
            Member(
                device=device,
                name=said.get("name", ""),
                cores=said.get("cores"),
                memory_bytes=said.get("memory_bytes"),
                train=tuple(said.get("train", ())),
                test=tuple(said.get("test", ())),
                rounds=len(own),
                given=_curve(given),
                trained=_curve({record["round"]: record["accuracy"] for record in own}),
                last=last.get("accuracy"),
                personalised=last.get("personalised_accuracy"),
            )
        )
    return tuple(found)


def _mean_accuracy(members: Iterable[Member]) -> Curve:
    """By the devices' test images, as if they lay in one place."""
    images, right = defaultdict[int, int](int), defaultdict[int, float](float)
    for member in members:
        for number, accuracy in zip(member.given.steps, member.given.values, strict=True):
            images[number] += sum(member.test) or 1
            right[number] += accuracy * (sum(member.test) or 1)
    return _curve({number: right[number] / count for number, count in images.items()})


def _missing(records: Iterable[Record]) -> tuple[Missing, ...]:
    found = defaultdict[tuple[str, str], set[int]](set)
    for record in records:
        found[record["device"], record["why"]].add(record["round"])
    return tuple(Missing(device, tuple(sorted(numbers)), why) for (device, why), numbers in found.items())


def _cost(whole: Record, updates: Sequence[Record]) -> Cost:
    parts = [tuple(float(record[f"{what}_seconds"]) for what in ("push", "train", "pull")) for record in updates]
    push, train, pull = max(parts, key=sum, default=(0.0, 0.0, 0.0))
    return Cost(
        push,
        train,
        pull,
        whole["own_seconds"],
        sum(record["pushed_bytes"] for record in updates),
        sum(record["pulled_bytes"] for record in updates),
    )


def _by(field: str, records: Iterable[Record]) -> dict[Any, list[Record]]:
    found = defaultdict[Any, list[Record]](list)
    for record in records:
        found[record[field]].append(record)
    return found


def _curve(values: Mapping[int, float | None]) -> Curve:
    known = [(number, value) for number, value in sorted(values.items()) if value is not None]
    return Curve(tuple(number for number, _ in known), tuple(float(value) for _, value in known))


def _moment(seconds: int) -> datetime | None:
    with suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(seconds)
    return None
