"""A value that somebody gave an option, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from device_runtime.formats.option import long_form
from pipeline.configuration.declared import declared
from pipeline.errors import UsageError
from pipeline.options import read_option

COMMAND_LINE = "command line"
ENVIRONMENT = "environment"

# What invoke hands over: a text; the texts of an option that holds words; True for one that stands alone; None for what
# was not typed.
Typed = Mapping[str, str | bool | list[str] | None]


@dataclass(frozen=True)
class Given:
    """A value that somebody gave an option.

    Attributes:
      name: the option's, as a field.
      value: as the option reads it.
      text: as it would be typed.
      place: where it was given.
      line: of a file.
      task: whose alone it is; empty for every task that takes the option.
    """

    name: str
    value: Any
    text: str
    place: str
    line: int | None = None
    task: str = ""

    @property
    def origin(self) -> str:
        """Where it was given, as a user finds it."""
        return f"{self.place}:{self.line}" if self.line else self.place


def key_of(name: str) -> str:
    """An option's name in a file: as it is typed, without dashes before it."""
    return long_form(name).removeprefix("--")


def typed_options(typed: Typed) -> tuple[Given, ...]:
    """What the user typed behind a task's name.

    Raises:
      UsageError: a value cannot be meant.
    """
    given: list[Given] = []
    for name, value in typed.items():
        if isinstance(value, list):
            values = tuple(_read(name, text) for text in value)
            given += [Given(name, values, " ".join(value), COMMAND_LINE)] if value else []
        elif isinstance(value, str):
            given.append(Given(name, _read(name, value), value, COMMAND_LINE))
        elif value:
            given.append(Given(name, declared()[name].read(""), "", COMMAND_LINE))
    return tuple(given)


def _read(name: str, text: str) -> Any:
    try:
        return read_option(name, declared()[name], text)
    except ValueError as error:
        raise UsageError(f"{long_form(name)} {text}: give {error}") from None
