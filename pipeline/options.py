"""What the user typed → the value of an option, as its declaration reads it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import Any

from device_runtime.formats.option import Option, long_form
from pipeline.errors import UsageError

# What Python alone reads.
_ANY_BYTES = ("data",)


def listed(text: str) -> tuple[str, ...]:
    """What an option gives with commas between."""
    return tuple(word.strip() for word in text.split(","))


def names_of_classes(text: str) -> tuple[str, ...]:
    """What an option gives with commas between; a name that has commas itself stands in double quotes."""
    if '"' not in text:
        return listed(text)
    try:
        return tuple(next(csv.reader([text], skipinitialspace=True, strict=True)))
    except csv.Error:
        raise ValueError('names with commas between; one with a comma of its own as "this, one"') from None


def colour(text: str) -> tuple[int, int, int]:
    """A colour as Pillow's ImageColor reads it, without its opacity."""
    from PIL import ImageColor

    try:
        red, green, blue, *_ = ImageColor.getrgb(text)
    except ValueError:
        raise ValueError("a colour, as white, #ff8800 or rgb(255, 136, 0)") from None
    return red, green, blue


def one_of(names: Sequence[str]) -> str:
    """The names as a help text lists them."""
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]


def positive_number(text: str) -> float:
    """A finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError("a number above 0")
    return value


def read_option(name: str, option: Option, text: str) -> Any:
    """The value of an option.

    Raises:
      ValueError: the text cannot be meant; the message says what to give.
      UsageError: the text cannot be meant, for a reason that the message tells.
    """
    if not text:
        raise ValueError(f"a value: {option.help}")
    if option.choices and text not in option.choices:
        raise ValueError(one_of(option.choices))
    if name not in _ANY_BYTES and not _is_utf8(text):
        raise UsageError(f"{long_form(name)} {text}: that name is not UTF-8, which libraries here need: rename it")
    return switched(text) if option.read is bool else option.read(text)


def switched(text: str) -> bool:
    """Whether a switch is on."""
    if text not in ("true", "false"):
        raise ValueError("true or false")
    return text == "true"


def _is_utf8(text: str) -> bool:
    """Python keeps other bytes of a name as halves of characters."""
    return not any("\ud800" <= char <= "\udfff" for char in text)
