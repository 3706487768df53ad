"""What a device prints, as lines."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.errors import in_line

# A line is cut there: one that never ends would fill the memory.
LONGEST_LINE = 2**16


class Lines:
    """Cuts a stream of bytes into lines and counts the bytes."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._rest = b""
        self.taken = 0

    def take(self, data: bytes) -> None:
        """Hands on the lines that are whole by now."""
        self.taken += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._say(line)
        if len(self._rest) > LONGEST_LINE:
            self.flush()

    def flush(self) -> None:
        """Hands on what has no end of a line yet."""
        if self._rest:
            self._say(self._rest)
            self._rest = b""

    def _say(self, line: bytes) -> None:
        # Whatever else a device prints would be commands to the user's terminal.
        self._on_line("\t".join(map(in_line, line.decode(errors="replace").split("\t"))))
