"""Programs that answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.commands import converse, run
from pipeline.errors import CommandError
from tests.invoking import ROOT

COUNT = "import sys\nfor number, line in enumerate(sys.stdin): print(number, flush=True)"


def test_a_program_answers_as_often_as_it_is_asked() -> None:
    with converse([sys.executable, "-c", COUNT], timeout_s=30) as ask:
        assert [ask().strip(), ask().strip()] == ["0", "1"]


def test_a_program_that_ends_says_why() -> None:
    program = [sys.executable, "-c", "raise SystemExit('no data')"]
    with converse(program, timeout_s=30) as ask, pytest.raises(CommandError, match="exit code 1:\nno data"):
        ask()


def test_a_program_that_takes_too_long_is_stopped() -> None:
    with (
        converse([sys.executable, "-c", "import time; time.sleep(60)"], timeout_s=0.2) as ask,
        pytest.raises(CommandError, match=r"gave no answer within 0\.2 s"),
    ):
        ask()


# Starts another process in a session of its own, and tells both their numbers.
FAMILY = """
import os, subprocess, sys
child = subprocess.Popen(["sleep", "60"], start_new_session=True)
for line in sys.stdin: print(os.getpid(), child.pid, flush=True)
"""


def states(pids: list[int]) -> list[str]:
    """T of a stopped process, S of one that sleeps, nothing of one that is gone."""
    files = [Path(f"/proc/{pid}/stat") for pid in pids]
    return [file.read_text().rpartition(")")[2].split()[0] if file.exists() else "" for file in files]


def ended(pids: list[int]) -> bool:
    return all(state in ("", "Z") for state in states(pids))


@pytest.mark.parametrize("raised", [KeyboardInterrupt, RuntimeError, None])
def test_between_answers_a_program_and_its_children_are_stopped_and_none_is_left(raised: type | None) -> None:
    with suppress(KeyboardInterrupt, RuntimeError), converse([sys.executable, "-c", FAMILY], timeout_s=30) as ask:
        pids = [int(word) for word in ask().split()]
        wait_until(lambda: states(pids) == ["T", "T"])
        assert ask().split() == [str(pid) for pid in pids]
        if raised:
            raise raised
    wait_until(lambda: ended(pids))


def test_a_stopped_program_ends_with_the_one_that_is_killed() -> None:
    parent = f"""
import sys
from pipeline.commands import converse
with converse([sys.executable, "-c", {FAMILY!r}], timeout_s=30) as ask:
    print(ask(), flush=True)
    input()
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdin=-1, stdout=-1, text=True, cwd=ROOT) as process:
        assert process.stdout
        program, child = (int(word) for word in process.stdout.readline().split())
        process.kill()
    wait_until(lambda: ended([program]))
    # What a rival itself started in another session is nobody's then; torch's compilers notice that.
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def test_who_interrupts_an_answer_does_not_wait_for_its_deadline() -> None:
    program = "import sys, time; sys.stdin.readline(); time.sleep(60)"
    asking = f"""
import sys
from pipeline.commands import converse
with converse([sys.executable, "-c", {program!r}], timeout_s=60) as ask:
    print("asks", flush=True)
    ask()
"""
    with subprocess.Popen([sys.executable, "-c", asking], stdout=-1, stderr=-1, text=True, cwd=ROOT) as process:
        assert process.stdout
        assert process.stdout.readline() == "asks\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=15) != 0


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_full_disk_is_one_line() -> None:
    program = [sys.executable, "-c", "import errno, os; raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))"]
    with pytest.raises(CommandError, match="found the disk full") as caught:
        run(program, timeout_s=30)
    assert "\n" not in str(caught.value)
