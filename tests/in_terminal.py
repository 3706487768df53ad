"""A program as a user sees it: started on a terminal of some width."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from pathlib import Path

from tests.invoking import ROOT

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def in_terminal(words: Sequence[str | Path], columns: int = 120, **env: str) -> str:
    """Everything that `python WORDS` writes to a terminal, drawn over or not."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    # What a CI sets of its own would make a terminal of anything, or of none.
    known = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    command = [sys.executable, *map(str, words)]
    with subprocess.Popen(
        command, cwd=ROOT, env={**known, "TERM": "xterm", **env}, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        written = b""
        while piece := _read(ours):
            written += piece
    os.close(ours)
    assert process.returncode == 0, written
    return written.decode().replace("\r\n", "\n")


def without_escapes(written: str) -> str:
    """The text alone: no colours, no moves of the cursor."""
    return _ESCAPES.sub("", written)


def _read(ours: int) -> bytes:
    try:
        return os.read(ours, 65536)
    except OSError:
        # So Linux says that the other end is closed.
        return b""
