"""What a reader may not do while it reads: open files outside its folder, take long, or take much memory."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

# Of processor time: the machine may be busy with others.
MOST_SECONDS = 2.0
# Beyond what the process has when it begins.
MOST_BYTES = 2**30

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {
    *("os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown"),
    *("shutil.move", "shutil.rmtree", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.utime"),
}


class Escaped(BaseException):
    """A file outside of the folder was opened or changed; not an Exception, so that nobody passes over it."""


class TooSlow(BaseException):
    """A case took too long."""


class Guard:
    """Watches a folder's surroundings: beside the folder lies a file `secret` that nobody may read.

    Attributes:
      folder: where a reader may read and write.
      slowest_s: processor time of the slowest case.
    """

    def __init__(self, around: Path) -> None:
        self.folder = around / "inside" / "folder"
        self.folder.mkdir(parents=True)
        self.slowest_s = 0.0
        self._around = os.path.realpath(around)
        self._watching = False
        for place in (around, self.folder.parent):
            (place / "secret").write_text("secret")
        sys.addaudithook(self._hear)
        signal.signal(signal.SIGVTALRM, _too_slow)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Within the block the rules hold.

        Raises:
          Escaped, TooSlow: they were broken.
        """
        began = time.process_time()
        signal.setitimer(signal.ITIMER_VIRTUAL, MOST_SECONDS)
        self._watching = True
        try:
            yield
        finally:
            self._watching = False
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            self.slowest_s = max(self.slowest_s, time.process_time() - began)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._watching:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = bool((flags or 0) & _WRITES) or any(letter in (mode or "") for letter in "wax+")
            self._check(path, writes)
        elif event in _CHANGES:
            for path in arguments[:2]:
                self._check(path, True)

    def _check(self, path: Any, writes: bool) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return
        try:
            real = os.path.realpath(os.fsdecode(path))
        except ValueError:
            return
        inside = real == str(self.folder) or real.startswith(f"{os.path.realpath(self.folder)}/")
        # Elsewhere Python itself reads, its modules.
        if not inside and (writes or real.startswith(f"{self._around}/")):
            self._watching = False
            raise Escaped(f"{'writes' if writes else 'reads'} {real}")


def limit_memory() -> None:
    """From here on this process gets a MemoryError beyond `MOST_BYTES` more than it has."""
    sizes = Path("/proc/self/statm").read_text().split()
    most = int(sizes[0]) * resource.getpagesize() + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _too_slow(number: int, frame: FrameType | None) -> None:
    raise TooSlow(f"more than {MOST_SECONDS:g} s of processor time")
