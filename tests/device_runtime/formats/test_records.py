"""JSON of anybody becomes records, or one ValueError that says where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from device_runtime.formats.records import parse_object, typed


@dataclass(frozen=True)
class Inner:
    """A record in a record."""

    share: float


@dataclass(frozen=True)
class Outer:
    """One field of each kind."""

    name: str
    count: int
    flag: bool
    limit: int | None
    inner: tuple[Inner, ...]
    named: Mapping[str, Inner]


WHOLE: dict[str, Any] = {
    "name": "é",
    "count": -3,
    "flag": True,
    "limit": None,
    "inner": [{"share": 1}, {"share": 0.5}],
    "named": {"a": {"share": 2.5}},
}


def test_a_record_is_read_whole() -> None:
    inner = (Inner(1.0), Inner(0.5))
    assert typed(Outer, WHOLE) == Outer("é", -3, True, None, inner, {"a": Inner(2.5)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": True}, "count is of type bool, not int"),
        ({"count": 1.0}, "count is of type float, not int"),
        ({"count": 2**63}, "count is beyond 64 bits"),
        ({"flag": 1}, "flag is of type int, not bool"),
        ({"name": ["é"]}, "name is of type list, not str"),
        ({"name": "\ud800"}, "surrogates not allowed"),
        ({"name": None}, "name is of type NoneType, not str"),
        ({"limit": "1"}, "limit is of type str, not int"),
        ({"inner": "ab"}, "inner is of type str, not list"),
        ({"inner": [{"share": True}]}, "share is of type bool, not float"),
        ({"inner": [{"share": 1e999}]}, "share is not finite"),
        ({"inner": [{"share": 10**400}]}, "share is beyond 64 bits"),
        ({"inner": [{}]}, "inner has no 'share'"),
        ({"named": []}, "named is of type list, not dict"),
        ({"more\n": 1}, r"it has an unknown 'more\n'"),
    ],
)
def test_another_type_says_where(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        typed(Outer, {**WHOLE, **changes})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "3",
        "null",
        '{"a": 1, "a": 1}',
        '{"a": {"b": 1, "b": 2}}',
        '{"a": NaN}',
        '{"a": -Infinity}',
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"a": ' + "9" * 5000 + "}",
    ],
    ids=lambda text: text[:12],
)
def test_what_is_no_plain_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_object(text)
