"""`invoke … --target web` as a user calls it on a machine without a screen: it prints its page's address, and waits."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from tests.invoking import ROOT, TIMEOUT_S, Invoked

_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/[\w-]+/")
# What would lead to a browser.
_SCREEN = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")


class Task:
    """A task that runs."""

    def __init__(self, process: subprocess.Popen[bytes], stdout: Path, stderr: Path) -> None:
        self._process, self._stdout, self._stderr = process, stdout, stderr

    def address(self) -> str:
        """Waits for the address of its page."""
        end = time.monotonic() + TIMEOUT_S
        while time.monotonic() < end:
            if found := _ADDRESS.search(self._stderr.read_text()):
                return found[0]
            assert self._process.poll() is None, self._stderr.read_text()
            time.sleep(0.1)
        raise AssertionError(self._stderr.read_text())

    def ended(self) -> Invoked:
        """Waits for its end."""
        code = self._process.wait(TIMEOUT_S)
        return Invoked(code, self._stdout.read_text(), self._stderr.read_text())

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)


@contextmanager
def running(folder: Path, *words: object, env: Mapping[str, str] = MappingProxyType({})) -> Iterator[Task]:
    """A task, while the block runs: it is killed then, where it has not ended.

    Args:
      folder: takes what it prints.
      words: its command line.
      env: variables beside this process's own.
    """
    stdout, stderr = folder / "stdout", folder / "stderr"
    own = {name: value for name, value in os.environ.items() if name not in _SCREEN}
    command = [sys.executable, "-m", "invoke", *map(str, words)]
    with stdout.open("wb") as out, stderr.open("wb") as err:
        process = subprocess.Popen(command, cwd=ROOT, env={**own, **env}, stdout=out, stderr=err)
    try:
        yield Task(process, stdout, stderr)
    finally:
        process.kill()
        process.wait()
