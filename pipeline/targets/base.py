"""What a target can do: this x86 machine (`local.py`) or an arm64 device (`adb.py`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from pipeline.progress import OnProgress

OnLine = Callable[[str], None]


class Target(Protocol):
    """A machine that takes a package, runs its scripts and hands back what they wrote."""

    name: str

    def push(self, package: Path, on_bytes: OnProgress) -> int:
        """Brings the package there, or what changed of it; returns the bytes sent.

        Args:
          package: the package's folder on this machine.
          on_bytes: called with bytes sent and bytes to send.

        Raises:
          TargetError: the target cannot take it; the target is left without a half-written package.
        """
        ...

    def run(self, script: str, arguments: Sequence[str], on_line: OnLine) -> int:
        """Runs a script of the package to its end; each line that it prints goes to `on_line` as it comes.

        Returns:
          The script's exit code.

        Raises:
          TargetError: it could not be started, another one runs, or the target was lost.
        """
        ...

    def clear_output(self) -> None:
        """Removes what earlier runs wrote into the package's output folder."""
        ...

    def pull(self, into: Path) -> list[Path]:
        """Brings the files of the package's output folder here, each whole or not at all; returns their paths.

        Raises:
          TargetError: there is none, or one arrived other than it was sent.
        """
        ...
