"""The one place that starts a process on the host."""

from __future__ import annotations

import ctypes
import errno
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol, cast

from pipeline.errors import CommandError

LAST_LINES = 15
# So long a program may take to end when it is asked to.
_ENDS_IN_S = 5.0

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Has the kernel end this process when the one that started it is killed; on Linux alone."""
    _die_with_parent(signal.SIGTERM)


def _kill_with_parent() -> None:
    """The same for a process that may be stopped, to which SIGTERM comes when it goes on."""
    _die_with_parent(signal.SIGKILL)


def _die_with_parent(number: int) -> None:
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, number)


FULL_DISK = os.strerror(errno.ENOSPC)


def run(
    command: Sequence[str | Path],
    *,
    timeout_s: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Runs `command` to its end and returns its stdout.

    Args:
      command: program and arguments; no shell reads it.
      timeout_s: seconds after which the program is killed.
      cwd: folder it runs in.
      env: its whole environment; this process's own when None.

    Raises:
      CommandError: the program is missing, ended with another exit code than 0 or ran out of time; the message
        carries the last lines that it printed.
    """
    words = _words(command)
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env=env,
            timeout=timeout_s,
            text=True,
            errors="replace",
            capture_output=True,
            check=False,
            preexec_fn=end_with_parent,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"`{shlex.join(words)}` did not end within {timeout_s:g} s and was stopped") from error
    if done.returncode != 0:
        if FULL_DISK in done.stdout + done.stderr:
            raise CommandError(f"`{shlex.join(words)}` found the disk full: make room there and where TMPDIR is")
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-LAST_LINES:])
        raise CommandError(f"`{shlex.join(words)}` ended with exit code {done.returncode}:\n{last}")
    return done.stdout


def stream(
    command: Sequence[str | Path],
    on_line: Callable[[str], None],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> int:
    """Runs `command`, hands every line of its stdout and stderr to `on_line` as it comes, and returns the exit code.

    The process is ended when the caller is interrupted or `on_line` raises.

    Raises:
      CommandError: the program is missing.
    """
    process = subprocess.Popen(
        _words(command),
        cwd=cwd,
        env=env,
        text=True,
        errors="replace",
        bufsize=1,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=end_with_parent,
    )
    with process:
        try:
            for line in process.stdout or ():
                on_line(line.rstrip("\n"))
        except BaseException:
            process.terminate()
            raise
    return process.returncode


class Process(Protocol):
    """A program that runs beside this one."""

    pid: int

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        ...

    def wait(self) -> int:
        """Its exit code, when it has ended."""
        ...


@contextmanager
def beside(command: Sequence[str | Path], log: Path, *, env: Mapping[str, str] | None = None) -> Iterator[Process]:
    """A program that runs while the block does; it is asked to end then, and soon killed with all that it started.

    Args:
      command: program and arguments; no shell reads it.
      log: takes what it prints, behind what is there.
      env: its whole environment; this process's own when None.

    Raises:
      CommandError: the program is missing.
    """
    words = _words(command)
    with log.open("a") as printed:
        process = subprocess.Popen(
            words,
            env=env,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            # An interrupt from the terminal is this process's to tell them.
            start_new_session=True,
            preexec_fn=_kill_with_parent,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_ENDS_IN_S)
        except subprocess.TimeoutExpired:
            _kill(process)
            process.wait()


@contextmanager
def converse(
    command: Sequence[str | Path], *, timeout_s: float, env: Mapping[str, str] | None = None
) -> Iterator[Callable[[], str]]:
    """A program that answers every line on its stdin with a line on its stdout, for as long as the block runs.

    Between its answers it is stopped, with all that it started: it computes nothing, no thread of it looks for work.
    When the block ends, in whatever way, none of them is left.

    Args:
      command: program and arguments; no shell reads it.
      timeout_s: seconds that one answer may take.
      env: its whole environment; this process's own when None.

    Yields:
      A function that asks once and returns the answer.

    Raises:
      CommandError: the program is missing; of the function: it ended instead of an answer or took too long.
    """
    words, pipe = _words(command), subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+", errors="replace") as stderr,
        subprocess.Popen(
            words, env=env, text=True, stdin=pipe, stdout=pipe, stderr=stderr, preexec_fn=_kill_with_parent
        ) as process,
    ):
        stdin, stdout = cast(IO[str], process.stdin), cast(IO[str], process.stdout)

        def ask() -> str:
            deadline = threading.Timer(timeout_s, _kill, (process,))
            deadline.start()
            answer = ""
            try:
                _send(_family(process.pid), signal.SIGCONT)
                with suppress(BrokenPipeError):
                    # Past the buffer, which would be written once more when it is closed.
                    os.write(stdin.fileno(), b"\n")
                    answer = stdout.readline()
                late = deadline.finished.is_set()
            finally:
                # Python ends when its threads have: who interrupts an answer would wait for the deadline.
                deadline.cancel()
            if late:
                raise CommandError(f"`{shlex.join(words)}` gave no answer within {timeout_s:g} s and was stopped")
            if not answer:
                code = process.wait()
                stderr.seek(0)
                last = "\n".join(stderr.read().strip().splitlines()[-LAST_LINES:])
                raise CommandError(f"`{shlex.join(words)}` gave no answer and ended with exit code {code}:\n{last}")
            _stop(process.pid)
            return answer

        try:
            yield ask
        finally:
            _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    """Kills a process and all that it started."""
    # The number of one that has been waited for may be another's by now.
    if process.returncode is None:
        _send(_stop(process.pid), signal.SIGKILL)


def _stop(pid: int) -> set[int]:
    """Stops a process and all that it started; returns them: none starts another one any more."""
    stopped: set[int] = set()
    while new := _family(pid) - stopped:
        _send(new, signal.SIGSTOP)
        stopped |= new
    return stopped


def _family(pid: int) -> set[int]:
    """A process, and all that it and they started and that still run, as far as there is a /proc to tell."""
    children = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        # It may end meanwhile.
        with suppress(OSError):
            # Behind the program's name, which may hold anything: state and parent.
            parent = stat.read_text(errors="replace").rpartition(")")[2].split()[1]
            children[int(parent)].append(int(stat.parent.name))
    found = [pid]
    for one in found:
        found += children[one]
    return set(found)


def _send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _words(command: Sequence[str | Path]) -> list[str]:
    words = [str(word) for word in command]
    if shutil.which(words[0]) is None:
        raise CommandError(f"the program {words[0]!r} is not on this machine: install it or put its folder on PATH")
    return words
