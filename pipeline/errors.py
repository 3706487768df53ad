"""Every failure that a user can meet, each a class with its own exit code.

A message says what is wrong, where, and what to do next. A task prints it as one line on stderr and exits with
`exit_code`; whatever is not a `PipelineError` is a programming error and keeps its traceback.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

# What a user outside the checkout calls.
CONSOLE_COMMAND = "train-on-device"
# Some tasks are the checkout's alone.
INSTALLED = re.compile(r"`invoke (?!emulator\.|pins)")


class PipelineError(Exception):
    """Base of all errors that are the input's or the environment's, not the program's."""

    exit_code = 1


class UsageError(PipelineError):
    """An option has a value that cannot be meant."""

    exit_code = 2


class CommandError(PipelineError):
    """A program on the host is missing, failed or ran out of time."""

    exit_code = 3


class DatasetError(PipelineError):
    """The dataset is missing, damaged or contradicts itself."""

    exit_code = 4


class ModelError(PipelineError):
    """The model cannot be loaded, exported or trained."""

    exit_code = 5


class LoweringError(ModelError):
    """The training graph holds an operator that has no form in the ONNX standard here."""

    exit_code = 6


class PackageError(PipelineError):
    """The package or its runtime cannot be built, or does not match its manifest."""

    exit_code = 7


class TargetError(PipelineError):
    """The device (or this machine as one) cannot take or run the package."""

    exit_code = 8


class RunFailed(PipelineError):
    """The runner on the target ended with an exit code other than 0."""

    exit_code = 9


class PictureError(PipelineError):
    """A picture that was named cannot be read; what is said of the others was said."""


class Interrupted(PipelineError):
    """The user ended a training, of which the message says how to go on, or waits for an answer no more."""

    exit_code = 130


def in_one_line(error: BaseException) -> str:
    """Type and message of an error that is not ours; torch's often take many lines."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def readable(name: str) -> str:
    """A name from the file system as text: bytes that are not UTF-8 are read as Latin-1, as most old ones are."""
    try:
        content = os.fsencode(name)
    except UnicodeEncodeError:
        # Halves of characters, which no file system has and JSON can say.
        return name
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def in_line(text: str) -> str:
    """What may hold any character, names of files above all, as printable text of one line."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in readable(text))


def as_typed(text: str) -> str:
    """A message whose commands begin with `invoke`, with the name of the program that was called."""
    called = Path(sys.argv[0]).name
    return INSTALLED.sub(f"`{CONSOLE_COMMAND} ", text) if called == CONSOLE_COMMAND else text


def nearest(word: str, known: Iterable[str], prefix: str = "") -> str:
    """What to add to a message about a word that is not known: the known one that it is nearest to, or nothing.

    Args:
      word: as it was given.
      known: those that would have been right.
      prefix: what all of them begin with, and makes none of them nearer.
    """
    found = difflib.get_close_matches(word.removeprefix(prefix), [one.removeprefix(prefix) for one in known], n=1)
    return f": did you mean {prefix}{found[0]}?" if found else ""


def brief(items: Sequence[str], shown: int = 20, separator: str = ", ") -> str:
    """The items in one line; of many, the first ones and how many more there are."""
    rest = f"{separator}and {len(items) - shown} more" if len(items) > shown else ""
    return in_line(separator.join(items[:shown])) + rest
