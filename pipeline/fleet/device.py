"""What a device does in a round: takes parameters, trains or evaluates, gives back what came of it."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from device_runtime.formats.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from device_runtime.formats.metrics import read_records
from device_runtime.formats.model import Model, read_model
from device_runtime.formats.option import long_form, options_of
from device_runtime.formats.options import Options, OptionsError, words
from device_runtime.formats.round import ROUND_PARAMETERS, RoundResult, read_round
from pipeline.errors import RunFailed, TargetError
from pipeline.fleet.seat import Seat
from pipeline.packing.package import package_folder
from pipeline.running.scripts import run_script
from pipeline.targets import Target, kind_of
from pipeline.targets.device import AdbTarget
from pipeline.targets.local import LocalTarget

# The parameters that a device is given, in its output folder.
_GIVEN = "global.safetensors"

_AWAY_S = 15.0

# Trainings on this machine would keep SuperLink and nodes from the messages that others wait for.
_NICENESS = 10

# What the fleet may say of a device's training; the words come from elsewhere, and no other option is theirs to give.
TRAINING = (
    *("epochs", "cycles", "learning_rate", "batch_size", "accumulate", "sink_size", "augment", "seed", "schedule"),
    *("warmup", "proximal_mu", "while_charging", "between", "min_battery", "max_battery_temp", "stay_awake"),
)
CONDITIONS = ("while_charging", "between", "min_battery", "max_battery_temp")

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Arrays:
    """A model's numbers: all trainable parameters, and all running statistics, each float32 in one vector."""

    parameters: Vector
    buffers: Vector


@dataclass(frozen=True)
class Cost:
    """Seconds and bytes of a round beside the training."""

    push_seconds: float = 0.0
    train_seconds: float = 0.0
    pull_seconds: float = 0.0
    pushed_bytes: int = 0
    pulled_bytes: int = 0


@dataclass(frozen=True)
class Trained:
    """What came of a device's training."""

    arrays: Arrays
    result: RoundResult
    cost: Cost


@dataclass(frozen=True)
class Evaluated:
    """The mean loss of a device's test images, and the part of them that is told rightly."""

    loss: float
    accuracy: float
    images: int


class Device:
    """A device at its seat; every call connects anew, as it may have been away."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self._package = Path(seat.package)
        self._kind = kind_of(seat.target, seat.serial)
        # A job that is still there is ours if this was noted before it began.
        self._begun = self._package.parent / "begun"

    @cached_property
    def model(self) -> Model:
        """The model of its package."""
        return read_model(self._package / "model")

    def facts(self) -> dict[str, Any]:
        """What it says of itself.

        Raises:
          TargetError: it is away.
        """
        facts = self._connected().facts()
        name = facts.model or facts.processor or facts.abi
        return {"name": name, "cores": facts.cores, "memory_bytes": facts.memory_bytes}

    def unready(self, conditions: Mapping[str, Any]) -> str:
        """Why it cannot take part now; empty when it can.

        Args:
          conditions: those of `CONDITIONS` that are asked for, by name.
        """
        try:
            target = self._connected()
            if not self._kind.is_here:
                other = self._kind.connect(package_folder(Path(), self._kind.name), self.seat.serial)
                if other.running():
                    return "it runs another job"
            if target.running() and not self._begun.exists():
                return "it runs a round of another fleet"
            return self._unmet(target, words_of(conditions, CONDITIONS)) if conditions else ""
        except (TargetError, RunFailed) as error:
            return str(error)

    def train(self, arrays: Arrays, given: Mapping[str, Any], dtype: str) -> Trained:
        """Trains from `arrays` on the device's own images.

        Args:
          arrays: the global model.
          given: options of the training, by their names in `TRAINING`.
          dtype: float32 or float16: of what comes back.

        Raises:
          PipelineError, FormatError: the device went away, or its training failed or diverged.
        """
        asked = [*words_of(given, TRAINING), "--round-dtype", dtype]
        with self._at_work(arrays, dtype) as (target, push_seconds, pushed):
            began = time.perf_counter()
            run_script(target, "train.sh", [*self._file(target), *asked, *self._own_words()], _silent)
            trained = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                files = target.pull(Path(folder), "round.*")
                result = read_round(Path(folder))
                back = read_checkpoint(Path(folder) / ROUND_PARAMETERS, self.model)
                pulled = sum(file.stat().st_size for file in files)
        cost = Cost(push_seconds, trained - began, time.perf_counter() - trained, pushed, pulled)
        return Trained(Arrays(back.parameters, back.buffers), result, cost)

    def evaluate(self, arrays: Arrays) -> Evaluated:
        """Evaluates `arrays` on the device's own test images.

        Raises:
          PipelineError, FormatError: the device went away, or its evaluation failed.
        """
        with self._at_work(arrays, "float32") as (target, _, _):
            run_script(target, "eval.sh", [*self._file(target), "--on-test", *self._own_words()], _silent)
            with tempfile.TemporaryDirectory() as folder:
                [file] = target.pull(Path(folder), "evaluation_0.jsonl")
                records = read_records(file)
        [record] = [record for record in records if record["event"] == "evaluation"]
        return Evaluated(record["loss"], record["accuracy"], sum(self.seat.test))

    @contextmanager
    def _at_work(self, arrays: Arrays, dtype: str) -> Iterator[tuple[Target, float, int]]:
        """The target with `arrays` in its output folder, how long it took to bring them, and their bytes."""
        target = self._connected()
        began = time.perf_counter()
        if target.running():
            # A round that was given up, or whose command was killed.
            target.stop()
        target.clear_output()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / _GIVEN
            write_checkpoint(file, Checkpoint(0, arrays.parameters, arrays.buffers, {}), self.model, dtype)
            target.put([file])
            size_bytes = file.stat().st_size
        self._begun.touch()
        # Not undone where the block fails: the job may still run there.
        yield target, time.perf_counter() - began, size_bytes
        self._begun.unlink(missing_ok=True)

    def _unmet(self, target: Target, asked: Sequence[str]) -> str:
        lines: list[str] = []
        run_script(target, "ready.sh", asked, lines.append)
        with suppress(ValueError, IndexError, KeyError):
            return str(json.loads(lines[-1])["unmet"])
        raise TargetError(f"{self.seat.device}: ready.sh said what cannot be read: {lines[-1:]}")

    def _connected(self) -> Target:
        target = self._kind.connect(self._package, self.seat.serial)
        if isinstance(target, AdbTarget):
            # The others' round goes on; this device comes back in a later one.
            target.away_s = _AWAY_S
        if isinstance(target, LocalTarget):
            target.niceness = _NICENESS
        return target

    def _file(self, target: Target) -> list[str]:
        return ["-f", target.output_file(_GIVEN)]

    def _own_words(self) -> list[str]:
        threads = [] if self.seat.threads is None else ["--threads", str(self.seat.threads)]
        return [*threads, *(["-d", self.seat.data] if self.seat.data else [])]


def words_of(given: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Options of the runner as its command line takes them; those that are not in `names` are not given.

    Raises:
      TargetError: a value cannot be meant.
    """
    values, options = dict[str, Any](), options_of(Options)
    for name in names:
        value = given.get(name)
        if value is None or value is False:
            continue
        try:
            values[name] = True if options[name].read is bool else options[name].read(str(value))
        except ValueError as error:
            raise TargetError(f"the fleet gives {long_form(name)} {value}, which is not {error}") from error
    try:
        return words(Options(**values), lambda name, _: name in values)
    except OptionsError as error:
        raise TargetError(f"what the fleet gives contradicts itself: {error}") from error


def _silent(line: str) -> None:
    """A round's lines are nobody's to read; what went wrong is raised."""
