"""A target that only says something."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.progress import OnProgress
from pipeline.targets import OnLine


class Saying:
    """A target whose scripts print some lines and end with an exit code."""

    name = "x86"

    def __init__(self, code: int, *lines: str) -> None:
        self._code = code
        self._lines = lines

    def push(self, package: Path, on_bytes: OnProgress) -> int:
        return 0

    def run(self, script: str, arguments: Sequence[str], on_line: OnLine) -> int:
        for line in self._lines:
            on_line(line)
        return self._code

    def clear_output(self) -> None:
        pass

    def pull(self, into: Path, only: str = "*") -> list[Path]:
        return []
