"""Background processes that outlive the one that starts them, ended by the id they were started with.

A ledger is a text file of what was started, one `role pid started_at` a line, written as it happens: whoever reads it
later, in another process or after a failure, can end all of it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.commands import run
from pipeline.errors import CommandError

END_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Background:
    """A process in the background.

    Attributes:
      role: what it is to the one who started it.
      pid: its id.
      started_at: clock ticks from the boot of this machine to its start; tells it from a later one with its id.
    """

    role: str
    pid: int
    started_at: int


def start(role: str, command: Sequence[str | Path], *, ledger: Path, log: Path, env: Mapping[str, str]) -> Background:
    """Starts `command` in a session of its own, its output going to `log`, and notes it in `ledger`.

    Raises:
      CommandError: it ended at once.
    """
    # The shell leaves at once, so that the process is nobody's child here and needs nobody to wait for it.
    words = ["sh", "-c", 'setsid "$@" >"$0" 2>&1 </dev/null & echo $!', log, *command]
    return note(role, int(run(words, timeout_s=10, env=env)), ledger)


def note(role: str, pid: int, ledger: Path) -> Background:
    """Notes a process that another program started.

    Raises:
      CommandError: it is not running.
    """
    started_at = _started_at(pid)
    if started_at is None:
        raise CommandError(f"the {role} of the emulated device ended at once: see the logs in {ledger.parent}")
    with ledger.open("a") as file:
        file.write(f"{role} {pid} {started_at}\n")
    return Background(role, pid, started_at)


def noted(ledger: Path) -> list[Background]:
    """What was started, oldest first; empty without a ledger."""
    if not ledger.exists():
        return []
    fields = (line.split() for line in ledger.read_text().splitlines())
    return [Background(role, int(pid), int(started_at)) for role, pid, started_at in fields]


def running(ledger: Path, role: str) -> Background | None:
    """The latest process of that role, when it is still there."""
    latest = next((process for process in reversed(noted(ledger)) if process.role == role), None)
    return latest if latest and alive(latest) else None


def alive(process: Background) -> bool:
    """Whether that very process still runs."""
    return _started_at(process.pid) == process.started_at


def send(process: Background, number: signal.Signals) -> None:
    """Sends a signal, if the process is still there."""
    if alive(process):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def end(process: Background) -> None:
    """Kills the process and waits until it is gone.

    Raises:
      CommandError: it stays.
    """
    send(process, signal.SIGKILL)
    deadline = time.monotonic() + END_TIMEOUT_S
    while alive(process):
        if time.monotonic() > deadline:
            raise CommandError(f"the {process.role} of the emulated device, process {process.pid}, cannot be ended")
        time.sleep(0.02)


def forget(process: Background, ledger: Path) -> None:
    """Takes a process that has ended out of the ledger."""
    kept = [f"{other.role} {other.pid} {other.started_at}\n" for other in noted(ledger) if other != process]
    ledger.write_text("".join(kept))


def children(pid: int) -> list[int]:
    """The ids of the children of process `pid`; none when it has ended."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _started_at(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name, field 2, may hold blanks and brackets; what follows its last bracket does not.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])
