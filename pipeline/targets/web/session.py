"""What the program and a package's page tell one another: a job, its lines, its end, and whether the page is there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Until then a page that is loaded again is back.
AWAY_S = 15.0
_TURN_S = 0.5


@dataclass(frozen=True)
class Job:
    """What the page is to do.

    Attributes:
      id: tells it from others, of other programs too.
      task: `train.sh` and so on.
      words: options of the runner.
      files: names of the files of the output folder that it needs, with their SHA-256.
      clear: whether what the page still has of earlier trainings goes.
    """

    id: str
    task: str
    words: Sequence[str]
    files: Sequence[tuple[str, str]]
    clear: bool


@dataclass(frozen=True)
class Visitor:
    """What a page says of its browser."""

    system: str
    cores: int | None


class Session:
    """Shared by the program, which waits, and the server's threads, which speak for the page."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._job: Job | None = None
        self._lines: list[str] = []
        self._code: int | None = None
        self._over = False
        self._visitor: Visitor | None = None
        self._is_here = False
        # When the page was last seen to go.
        self._left_at: float | None = None

    def begin(self, job: Job) -> None:
        """Gives the page a job."""
        with self._changed:
            self._job, self._lines, self._code = job, [], None
            self._changed.notify_all()

    def follow(self, on_line: Callable[[str], None]) -> int | None:
        """Hands on the job's lines until it ends; returns its exit code, None where the page has gone for good."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._code is not None, _TURN_S)
                lines, self._lines = self._lines, []
                code, gone = self._code, self._gone()
            for line in lines:
                on_line(line)
            if code is not None or gone:
                return code

    def visitor(self) -> Visitor:
        """Waits for a page, and returns what it says of its browser."""
        with self._changed:
            while self._visitor is None:
                self._changed.wait(_TURN_S)
            return self._visitor

    def end_all(self) -> None:
        """Tells the page that nothing more will come, and waits a moment until it knows."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._is_here, _TURN_S)

    def enter(self, visitor: Visitor) -> bool:
        """A page has come; false where another one is there."""
        with self._changed:
            if self._is_here:
                return False
            self._is_here, self._left_at, self._visitor = True, None, visitor
            self._changed.notify_all()
            return True

    def leave(self) -> None:
        """The page was closed, or is loaded again."""
        with self._changed:
            self._is_here, self._left_at = False, time.monotonic()
            self._changed.notify_all()

    def news(self, known: str, timeout_s: float) -> tuple[Job | None, bool]:
        """Waits for what the page does not know yet: a job, and whether nothing more will come.

        Args:
          known: the id of the job that it knows of.
          timeout_s: so long at most.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._is_new(known), timeout_s)
            return self._job if self._is_new(known) else None, self._over

    def say(self, job: str, lines: Sequence[str]) -> bool:
        """Takes lines of a job; false where it is another one's, or over."""
        with self._changed:
            if self._runs(job):
                self._lines += lines
                self._changed.notify_all()
                return True
            return False

    def end(self, job: str, code: int) -> bool:
        """Ends a job; false as of `say`."""
        with self._changed:
            if self._runs(job):
                self._code = code
                self._changed.notify_all()
                return True
            return False

    def _runs(self, job: str) -> bool:
        return self._job is not None and self._job.id == job and self._code is None

    def _is_new(self, known: str) -> bool:
        return self._job is not None and self._job.id != known and self._code is None

    def _gone(self) -> bool:
        return self._left_at is not None and time.monotonic() - self._left_at > AWAY_S
