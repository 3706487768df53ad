"""Chromium without a window, in which the bench's page measures what it is asked for."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.commands import Process, beside
from pipeline.errors import CommandError
from pipeline.targets.web.guard import POLICY
from pipeline.targets.web.receiving import Output
from pipeline.targets.web.server import serving
from pipeline.targets.web.session import Job, Session

PAGE = "bench.html"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# Of a browser that nobody sees, and that asks nobody.
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update"),
    *("--disable-background-networking", "--disable-sync"),
)
# Threads of TensorFlow.js begin with scripts that it writes itself.
_POLICY = POLICY.replace("script-src 'self'", "script-src 'self' blob:")
# An engine's first answer comes when it is warm.
TIMEOUT_S = 600.0
_LATE, _ENDED = 2, 3


def find_chromium() -> str:
    """The program.

    Raises:
      CommandError: there is none.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise CommandError("no Chromium is on this machine: `apt-get install chromium`, or leave out --target web")
    return program


class Page:
    """The page, open."""

    def __init__(self, session: Session, process: Process, log: Path) -> None:
        self._session = session
        self._process = process
        self._log = log
        self._job = ""
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def browser(self) -> str:
        """What it says of its browser; known when it has answered."""
        return self._session.visitor().system

    def measure(self, engine: str, threads: int, seconds: float) -> dict[str, Any]:
        """One turn of an engine: `ms` of a step, and `losses`: the first, and means of the warm-up and of the turn.

        Raises:
          CommandError: the browser ended, the engine failed or took too long.
        """
        job = Job(uuid.uuid4().hex, "bench", (engine, str(threads), str(seconds)), (), clear=False)
        self._job = job.id
        lines: list[str] = []
        self._session.begin(job)
        if self._process.poll() is not None:
            self._session.end(job.id, _ENDED)
        deadline = threading.Timer(TIMEOUT_S, self._session.end, (job.id, _LATE))
        deadline.start()
        try:
            code = self._session.follow(lines.append)
        finally:
            deadline.cancel()
        if code == 0:
            answer: dict[str, Any] = json.loads(lines[-1])
            return answer
        if code == _LATE:
            raise CommandError(f"{engine} gave no answer within {TIMEOUT_S:g} s in the browser")
        raise CommandError(f"{engine} failed in the browser: {lines[-1] if code == 1 else self._last_line()}")

    def _watch(self) -> None:
        self._process.wait()
        self._session.end(self._job, _ENDED)

    def _last_line(self) -> str:
        """What Chromium said before it ended."""
        return "it ended; " + " ".join(self._log.read_text(errors="replace").splitlines()[-1:])


@contextmanager
def opened(program: str, package: Path) -> Iterator[Page]:
    """The bench's page of a package, while the block runs."""
    session = Session()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        log = Path(folder, "chromium.log")
        with serving(package, session, Output(package / "output"), policy=_POLICY) as site:
            command = (program, *OPTIONS, f"--user-data-dir={folder}/profile", site.address + PAGE)
            with beside(command, log) as process:
                yield Page(session, process, log)
