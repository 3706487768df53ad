"""The one place that starts a process on the host."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipeline.errors import CommandError

LAST_LINES = 15


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
            words, cwd=cwd, env=env, timeout=timeout_s, text=True, errors="replace", capture_output=True, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"`{shlex.join(words)}` did not end within {timeout_s:g} s and was stopped") from error
    if done.returncode != 0:
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
    )
    with process:
        try:
            for line in process.stdout or ():
                on_line(line.rstrip("\n"))
        except BaseException:
            process.terminate()
            raise
    return process.returncode


def _words(command: Sequence[str | Path]) -> list[str]:
    words = [str(word) for word in command]
    if shutil.which(words[0]) is None:
        raise CommandError(f"the program {words[0]!r} is not on this machine: install it or put its folder on PATH")
    return words
