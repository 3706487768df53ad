"""Trainings that something happens to, and what has to be true of them afterwards."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from device_runtime.formats.metrics import Record, read_metrics
from tests.device_runtime.interrupted import parameters
from tests.invoking import Invoked, invoke, started

MODULE = """
from torch import nn


def tiny():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.ReLU(), nn.Linear(16, 10))
"""
WAIT_S = 240.0


@dataclass(frozen=True)
class Host:
    """A host with its folders, and its one kind of training.

    Attributes:
      build, runs: where everything and the results go.
      target: `--target`.
      output: where the target's trainings write, as this machine sees it.
      made_of: options of `invoke package` that the package is made with.
      options: those of the training.
      env: variables that lead to the device.
    """

    build: Path
    runs: Path
    target: str
    output: Path
    made_of: tuple[str, ...]
    options: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def package(self) -> Path:
        """The package."""
        return self.build / self.output.parent.name

    @property
    def last(self) -> int:
        """The number of the training's last step."""
        return int(self.options[self.options.index("--cycles") + 1])

    def words(self, task: str, *words: str) -> list[str]:
        """A task's command line; `train` and `run` have the training's options unless they go on with one."""
        serial = ["--serial", self.env["ANDROID_SERIAL"]] if "ANDROID_SERIAL" in self.env else []
        given = [task, "--target", self.target, *serial, "--build", str(self.build), *words]
        if task in ("train", "run", "pull"):
            given += ["--runs", str(self.runs)]
        if task in ("run", "package") and "--resume" not in words:
            given += self.made_of
        if task in ("train", "run") and "--resume" not in words and "--cycles" not in words:
            given += self.options
        return given

    def invoke(self, task: str, *words: str, code: int = 0) -> Invoked:
        """Runs a task to its end, which has to be that one."""
        done = invoke(*self.words(task, *words), env=dict(self.env))
        assert done.code == code, done.stderr
        assert "Traceback" not in done.stderr
        return done

    @contextmanager
    def started(self, task: str, *words: str) -> Iterator[subprocess.Popen[str]]:
        """A task that runs while the block does what it does; it has to have ended then."""
        with started(*self.words(task, *words), env=self.env) as process:
            yield process

    def records(self) -> list[Record]:
        """What the target's training has recorded until now."""
        return list(read_metrics(self.output))

    def steps(self) -> int:
        """How many steps it has recorded until now."""
        return sum(record["event"] == "step" for record in self.records())

    def wait_for_steps(self, count: int) -> None:
        """Returns when it has recorded so many."""
        wait_for(lambda: self.steps() >= count)


def wait_for(happened: Callable[[], bool]) -> None:
    """Returns when that is so."""
    deadline = time.monotonic() + WAIT_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def curve(folder: Path) -> list[tuple[int, float]]:
    """Each step that is recorded, with its loss."""
    return [(record["step"], record["loss"]) for record in read_metrics(folder) if record["event"] == "step"]


def check_as_if_nothing_had_been(host: Host, folder: Path, whole: Path) -> None:
    """`folder` has the steps and the final parameters of `whole`, and nothing half-written lies about."""
    assert curve(folder) == curve(whole)
    name = f"tiny_trained_{host.last}.safetensors"
    assert parameters(folder / name) == parameters(whole / name)
    assert half_written(host) == []


def half_written(host: Host) -> list[Path]:
    """Temporary files and folders on the host and on the target."""
    folders = {host.build, host.runs, host.output.parent.parent}
    found = [path for folder in folders for path in folder.rglob("*")]
    kept = (".inputs", ".pulled")
    return [p for p in found if p.name not in kept and (p.name.startswith(".") or p.name.endswith(".new"))]


def lost(killed: Sequence[Record], folder: Path) -> str:
    """How much of what was recorded when it was killed the training in `folder` had to compute again, in words."""
    reached = max((record["step"] for record in killed if record["event"] == "step"), default=0)
    resumed = [record["step"] for record in read_metrics(folder) if record["event"] == "resume"]
    steps = reached - resumed[-1] if resumed else 0
    return f"{steps} steps since the checkpoint of step {resumed[-1]}" if steps else "nothing"
