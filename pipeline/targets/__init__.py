"""Reads a package.
Writes what a machine hands back of a run.
Belongs here: another way to a machine: a module with a `kind`, which this file chooses. ABIs are `packing/abi.py`'s.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from device_runtime.formats.option import long_form
from device_runtime.formats.options import Options
from pipeline.errors import UsageError
from pipeline.machine.facts import MachineFacts
from pipeline.packing.abi import ABIS
from pipeline.packing.runner import python_runner
from pipeline.progress import OnProgress

OnLine = Callable[[str], None]


class Runs(Protocol):
    """A machine on which scripts of a package run."""

    name: str

    def run(self, script: str, arguments: Sequence[str], on_line: OnLine) -> int:
        """Runs a script of the package to its end; each line that it prints goes to `on_line` as it comes.

        Returns:
          The script's exit code.

        Raises:
          TargetError: it could not be started, another one runs, or the target was lost.
        """
        ...


class Target(Runs, Protocol):
    """A machine that takes a package, runs its scripts and hands back what they wrote."""

    def push(self, package: Path, on_bytes: OnProgress) -> int:
        """Brings the package there, or what changed of it; returns the bytes sent.

        Args:
          package: the package's folder on this machine.
          on_bytes: called with bytes sent and bytes to send.

        Raises:
          TargetError: the target cannot take it; the target is left without a half-written package.
        """
        ...

    def running(self) -> bool:
        """Whether a script runs there that somebody else has started."""
        ...

    def attach(self, on_line: OnLine) -> int:
        """Follows the script that runs there to its end, from its first line on; returns its exit code.

        Raises:
          TargetError: there is none, the target was lost, or the script killed.
        """
        ...

    def stop(self) -> None:
        """Ends the script that runs there.

        Raises:
          TargetError: none runs.
        """
        ...

    def output_file(self, name: str) -> str:
        """The path there of a file in the package's output folder."""
        ...

    def clear_output(self) -> None:
        """Removes what earlier runs wrote into the package's output folder."""
        ...

    def pull(self, into: Path, only: str = "*") -> list[Path]:
        """Brings the files of the package's output folder here, each whole or not at all; returns their paths.

        Args:
          into: takes them.
          only: the name of one.

        Raises:
          TargetError: one arrived other than it was sent.
        """
        ...

    def unpulled(self) -> bool:
        """Whether the output folder has the record of a training that was written to since it was marked as pulled."""
        ...

    def mark_pulled(self, size_bytes: int) -> None:
        """Notes there that the training's record was brought away when it had so many bytes."""
        ...

    def put(self, files: Sequence[Path]) -> None:
        """Brings files into the package's output folder.

        Raises:
          TargetError: the target cannot take them.
        """
        ...

    def facts(self) -> MachineFacts:
        """What it says of itself."""
        ...


@dataclass(frozen=True)
class Kind:
    """What is known of a target before it is connected.

    Attributes:
      name: tells it from others; ends the names of its folders: runtime, package, results.
      connect: takes the package's folder and the adb serial, None for the only device; returns the target.
      build_runtime: takes the build folder; makes the runtime folder of the package and returns it.
      checkpoint: takes what `--checkpoint` says; returns the path that the runner on the target reads.
      is_here: whether it is this machine: what runs there ends with who started it.
      engines: what can train there.
      runner: what does: its files here by their paths in the package.
      teaching: what more there is where the model has a frozen backbone: a page that teaches it other classes.
    """

    name: str
    connect: Callable[[Path, str | None], Target]
    build_runtime: Callable[[Path], Path]
    checkpoint: Callable[[str], str]
    is_here: bool
    engines: tuple[str, ...]
    runner: Callable[[], Mapping[str, Path]] = python_runner
    teaching: Callable[[], Mapping[str, Path]] = dict


@dataclass(frozen=True)
class Limits:
    """What of the project has no place on a target: tasks, and options of the runner."""

    tasks: tuple[str, ...]
    options: tuple[str, ...]


WEB = "web"
LIMITS = {
    WEB: Limits(
        tasks=("infer", "status", "attach", "stop"),
        options=("loop", "verbose", "while_charging", "between", "min_battery", "max_battery_temp", "stay_awake"),
    )
}


def names() -> list[str]:
    """What `--target` may be."""
    return sorted([*(abi.target for abi in ABIS), WEB])


def target_name(text: str) -> str:
    """Reads `--target`.

    Raises:
      UsageError: there is no such target.
    """
    if text not in names():
        raise UsageError(f"unknown target {text!r}: give --target {' or --target '.join(names())}")
    return text


def check_task(task: str, target: str) -> None:
    """Refuses a task that has no place on the target.

    Raises:
      UsageError: it has none.
    """
    if target in LIMITS and task in LIMITS[target].tasks:
        raise UsageError(f"`invoke {task}` does not work with --target {target}: leave it out, or give another one")


def check_options(target: str, runner: Options) -> None:
    """Refuses options of the runner that the target's has not.

    Raises:
      UsageError: there are some.
    """
    lacking = LIMITS[target].options if target in LIMITS else ()
    given = [long_form(name) for name in lacking if getattr(runner, name)]
    if given:
        raise UsageError(f"{' and '.join(given)} {'do' if given[1:] else 'does'} not work with --target {target}")


def kind_of(target: str, serial: str | None) -> Kind:
    """The kind of machine that `--target` and `--serial` mean; the environment's serial makes no device of this one."""
    here = serial is None and any(abi.target == target and abi.needs_serial for abi in ABIS)
    module = "web.target" if target == WEB else "local" if here else "device"
    kind: Kind = importlib.import_module(f"{__name__}.{module}").kind(target)
    return kind
