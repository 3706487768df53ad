"""JSON that anybody may have written, as dataclasses: what is not exactly so is a ValueError, and nothing else."""

from __future__ import annotations

import json
import math
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from device_runtime.formats.paths import shown

# What the int64 of every format holds.
LARGEST = 2**63 - 1

Reader = Callable[[Any, str], Any]


def parse_object(text: str) -> dict[str, Any]:
    """The JSON object that a text is, each of whose names is there once.

    Raises:
      ValueError: it is none; NaN and Infinity are no JSON.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError(f"a {type(value).__name__}, not an object")
    return value


def typed(kind: Any, value: Any, place: str = "it") -> Any:
    """A value that JSON gave, as a `kind`; a whole number is a float too, and a bool is no number.

    Args:
      kind: a dataclass, whose fields are all there and no others, str, int, float (finite), bool, `kind | None`,
        a Literal of texts, tuple[kind, ...] or Mapping[str, kind].
      value: what `parse_object` returned, or a part of it.
      place: what an error calls it.

    Raises:
      ValueError: it is something else, a number beyond 64 bits, or a text that is no Unicode.
    """
    return _reader(kind)(value, place)


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{shown(name)} is there twice")
        found[name] = value
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


@cache
def _reader(kind: Any) -> Reader:
    """What reads a kind; made once for each, as a manifest has thousands of records."""
    if is_dataclass(kind):
        return _record_reader(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        (inner,) = (_reader(argument) for argument in arguments if argument is not types.NoneType)
        return lambda value, place: None if value is None else inner(value, place)
    if origin is Literal:
        return lambda value, place: _one_of(arguments, value, place)
    if origin is tuple:
        item = _reader(arguments[0])
        return lambda value, place: tuple(item(entry, place) for entry in _of(list, value, place))
    if origin is Mapping:
        item = _reader(arguments[1])
        return lambda value, place: {
            _text(n, place): item(entry, place) for n, entry in _of(dict, value, place).items()
        }
    return {str: _text, int: _whole, float: _number, bool: lambda value, place: _of(bool, value, place)}[kind]


def _record_reader(kind: Any) -> Reader:
    hints = get_type_hints(kind)
    readers = {field.name: _reader(hints[field.name]) for field in fields(kind)}

    def read(value: Any, place: str) -> Any:
        record = _of(dict, value, place)
        if record.keys() != readers.keys():
            wrong = sorted(record.keys() ^ readers.keys())[0]
            raise ValueError(f"{place} {'has no' if wrong in readers else 'has an unknown'} {shown(wrong)}")
        return kind(**{name: reader(record[name], name) for name, reader in readers.items()})

    return read


def _of(kind: type, value: Any, place: str) -> Any:
    # Not isinstance: a bool is an int.
    if type(value) is not kind:
        raise ValueError(f"{place} is of type {type(value).__name__}, not {kind.__name__}")
    return value


def _one_of(known: Sequence[str], value: Any, place: str) -> str:
    text = _text(value, place)
    if text not in known:
        raise ValueError(f"{place} is {shown(text)}, not {' or '.join(known)}")
    return text


def _text(value: Any, place: str) -> str:
    text: str = _of(str, value, place)
    # JSON can say halves of characters, which no file takes; the error is a ValueError.
    text.encode()
    return text


def _whole(value: Any, place: str) -> int:
    number: int = _of(int, value, place)
    if abs(number) > LARGEST:
        raise ValueError(f"{place} is beyond 64 bits")
    return number


def _number(value: Any, place: str) -> float:
    number = float(_whole(value, place) if type(value) is int else _of(float, value, place))
    if not math.isfinite(number):
        raise ValueError(f"{place} is not finite")
    return number
