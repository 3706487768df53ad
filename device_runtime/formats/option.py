"""How options are declared, on the host and in the runner: a field of a dataclass says how it is typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, get_type_hints


@dataclass(frozen=True)
class Option:
    """How a field of a dataclass of options is said on a command line; type and default are the field's own.

    Attributes:
      help: what it means, in a line.
      read: makes the value of a text, or raises ValueError with what it takes; `bool` for a switch.
      tasks: tasks of the host that take it.
      meant: what it means to some of them, where that is something else.
      apart: those of them that do not mean what all others mean: no value that is given for every task is for them.
      choices: the texts it takes; none for all that `read` reads.
      letter: its short form on the runner's command line.
      words: whether it also takes the words after the task's name, each of them, and may be given several times.
      alone: whether it may be typed without a value, which then is empty.
      example: a text that it takes, where its default is none.
      scripts: of the runner's options, whether evaluations take it too, or train.sh alone.
    """

    help: str
    read: Callable[[str], Any]
    tasks: tuple[str, ...] = ()
    meant: Mapping[str, str] = field(default_factory=dict)
    apart: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    letter: str = ""
    words: bool = False
    alone: bool = False
    example: str = ""
    scripts: tuple[str, ...] = ("train.sh",)

    def help_for(self, task: str) -> str:
        """What it means to a task."""
        return self.meant.get(task, self.help)


@cache
def options_of(declaring: type) -> dict[str, Option]:
    """The options that a dataclass declares, by the names of its fields."""
    hints = get_type_hints(declaring, include_extras=True)
    found = {name: getattr(hint, "__metadata__", (None,))[0] for name, hint in hints.items()}
    return {name: option for name, option in found.items() if isinstance(option, Option)}


def long_form(name: str) -> str:
    """A field's name as it is typed."""
    return f"--{name.replace('_', '-')}"
