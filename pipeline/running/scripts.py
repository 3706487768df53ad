"""A script of the package runs on its target: what it prints is handed on, what it calls an error is raised."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from device_runtime.formats.moment import is_moment, read_moment
from device_runtime.formats.option import long_form
from pipeline.errors import RunFailed
from pipeline.running.display import can_show, display
from pipeline.targets import OnLine, Runs, Target


def run_script(target: Runs, script: str, options: Sequence[str], say: OnLine) -> None:
    """Runs a script of the package on the target.

    Raises:
      RunFailed: it ended with another exit code than 0; the message carries why: what it called an error, which is not
        said before, or else its last line.
    """
    _checked(target, script, lambda on_line: target.run(script, options, on_line), say)


def follow(target: Target, say: OnLine) -> None:
    """Follows what runs on the target already, from its first line on.

    Raises:
      RunFailed: as of `run_script`.
    """
    _checked(target, "the job", target.attach, say)


def live_options(script: str) -> list[str]:
    """With which a script says how far it is, where a user can see it."""
    return [long_form("progress")] if script == "train.sh" and can_show() else []


@contextmanager
def shown(say: OnLine) -> Iterator[OnLine]:
    """Takes what a script prints: hands on the lines for a user, and shows on a terminal how far a training is."""
    with display() as show:

        def take(line: str) -> None:
            if not is_moment(line):
                say(line)
                return
            # One that is damaged is followed by another.
            with suppress(ValueError):
                show(read_moment(line))

        yield take


def print_line(line: str) -> None:
    """Prints a line at once."""
    print(line, flush=True)


@contextmanager
def logged(results: Path) -> Iterator[OnLine]:
    """What prints lines and adds them to the log of a results folder."""
    with (results / "log").open("a", buffering=1) as log:

        def say(line: str) -> None:
            print_line(line)
            log.write(line + "\n")

        yield say


def _checked(target: Runs, name: str, run_it: Callable[[OnLine], int], say: OnLine) -> None:
    errors: list[str] = []
    last = "no output"

    def on_line(line: str) -> None:
        nonlocal last
        if line.startswith("error: "):
            errors.append(line.removeprefix("error: "))
        else:
            last = line
            say(line)

    with shown(on_line) as take:
        code = run_it(take)
    if code != 0:
        ending = ": " + "; ".join(errors) if errors else f" ended with exit code {code}: {last}"
        raise RunFailed(f"{name} on {target.name}{ending}")
