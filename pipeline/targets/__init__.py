"""Reads a package.
Writes what a machine hands back of a run.
Belongs here: another machine: a module with a `KIND`, named as `--target` says it. This file chooses.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.errors import UsageError
from pipeline.machine.facts import MachineFacts
from pipeline.progress import OnProgress

OnLine = Callable[[str], None]

# In a target's output folder: how many bytes of the training's record were brought away.
PULLED = ".pulled"


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
    """What is known of a target before it is connected; each module here has one, `KIND`.

    Attributes:
      connect: takes the package's folder and the adb serial, None for the only device; returns the target.
      build_runtime: takes the build folder; makes the runtime folder of the package and returns it.
      checkpoint: takes what `--checkpoint` says; returns the path that the runner on the target reads.
      goes_on: whether a training goes on when the host no longer watches.
      engines: what can train there.
    """

    connect: Callable[[Path, str | None], Target]
    build_runtime: Callable[[Path], Path]
    checkpoint: Callable[[str], str]
    goes_on: bool
    engines: tuple[str, ...]


def names() -> list[str]:
    """Names of the targets, without importing any of them."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)


def target_name(text: str) -> str:
    """Reads `--target`.

    Raises:
      UsageError: there is no such target.
    """
    if text not in names():
        raise UsageError(f"unknown target {text!r}: give --target {' or --target '.join(names())}")
    return text


def kind_of(name: str) -> Kind:
    """The target of that name."""
    kind: Kind = importlib.import_module(f"{__name__}.{name}").KIND
    return kind
