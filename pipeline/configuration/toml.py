"""Values of TOML and the texts that are typed for them."""

from __future__ import annotations

import csv
import io
import json
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from pipeline.configuration.declared import DECLARING, declared, defaults
from pipeline.options import names_of_classes


def text_of(name: str, value: Any) -> str:
    """The text that would be typed for a value of TOML; empty for an option that stands alone.

    Raises:
      ValueError: the option is of another type; the message says what to give.
    """
    option, kind = declared()[name], type_of(name)
    if option.alone and value is True:
        return ""
    if kind is tuple and isinstance(value, list) and value and all(_is_word(word) for word in value):
        return _with_commas([str(word) for word in value])
    if isinstance(value, bool) is not (kind is bool) or not isinstance(value, _TAKEN[kind]):
        quoted = ", without quotes" if isinstance(value, str) else ""
        raise ValueError(_SAID[kind] + quoted + (", or true" if option.alone else ""))
    if value == "":
        raise ValueError(f"a value: {option.help}")
    return as_toml(value) if isinstance(value, bool) else str(value)


def as_toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return f"[{', '.join(map(as_toml, value))}]"
    # Its strings are those of JSON; what is left are times.
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)


def toml_of(name: str, text: str) -> str:
    """A text that an option takes, as TOML writes it."""
    if declared()[name].alone and not text:
        return "true"
    if type_of(name) in (bool, int, float):
        return text
    return as_toml(list(names_of_classes(text)) if type_of(name) is tuple and "," in text else text)


def default_text(name: str) -> str:
    """What would be typed for an option's default; empty where something else decides."""
    value = defaults()[name]
    if isinstance(value, bool):
        return as_toml(value)
    if isinstance(value, tuple):
        # A colour.
        return "#" + "".join(f"{part:02x}" for part in value) if value else ""
    return "" if value is None else str(value)


def example_text(name: str) -> str:
    """Something that can be typed for an option: its default, where it has one."""
    option = declared()[name]
    return default_text(name) or option.example or next(iter(option.choices), _EXAMPLES.get(type_of(name), "NAME"))


@cache
def type_of(name: str) -> type:
    """What an option's value is: bool, int, float, tuple, or str for all that is read from a text."""
    hint = next(_hints(kind)[name] for kind in reversed(DECLARING) if name in _hints(kind))
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    kind = next(kind for kind in kinds if kind is not type(None))
    if get_origin(kind) is tuple:
        # A colour has three numbers, and is read from a text.
        return tuple if Ellipsis in get_args(kind) else str
    return kind if kind in _TAKEN else str


@cache
def _hints(declaring: type) -> dict[str, Any]:
    return get_type_hints(declaring)


def _is_word(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def _with_commas(words: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(words)
    return line.getvalue()


_TAKEN: dict[type, tuple[type, ...]] = {
    bool: (bool,),
    int: (int,),
    float: (int, float),
    tuple: (str,),
    str: (str,),
}
_EXAMPLES: dict[type, str] = {int: "1", float: "1.0"}
_SAID = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    tuple: 'a text in quotes, or a list: ["one", "two"]',
    str: "a text in quotes",
}
