"""Damage: bytes that were changed, cut and repeated; JSON with other values in other places; texts of odd words."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

# At these, programs that count in 8, 16, 32 or 64 bits go wrong.
EDGES = tuple(
    sorted(
        {
            sign * (2**bits) + near
            for bits in (0, 7, 8, 15, 16, 31, 32, 63, 64)
            for near in (-1, 0, 1)
            for sign in (1, -1)
        }
    )
)

# Names that lead elsewhere, are taken for something else, or for several.
NAMES = (
    *(
        "",
        ".",
        "..",
        "../secret",
        "../../secret",
        "a/../../secret",
        "/etc/passwd",
        "a//b",
        "a\\b",
        "..\\secret",
        "-rf",
        ".x",
    ),
    *("a\nb", "a\rb", "a\0b", "a b", "it's", '"', "$(touch secret)", "`id`", ";", "|", "\x1b[31m", "é", "漢" * 100),
    *("x" * 300, "\ud800", "\udce9", "\u2028", "%2E%2E", "~", "*", "CON"),
)

DEEP, LONG = "@deep@", "@long@"
ODD: tuple[Any, ...] = (
    *(None, True, False, [], {}, [[]], {"": {}}, 0.5, -0.0, 1e308, float("nan"), float("inf"), DEEP, LONG),
    *(list(range(70)), [2**60] * 40, {"event": "step"}),
    *EDGES,
    *NAMES,
)

Node = tuple[Any, Any]


def damaged(content: bytes) -> st.SearchStrategy[bytes]:
    """The content after up to five changes, or as it is."""
    where, what = st.integers(0, max(len(content), 1) * 2), st.integers(0, len(EDGES) * 4)
    change = st.tuples(st.integers(0, 6), where, where, what)
    return st.lists(change, max_size=5).map(lambda changes: _apply(content, changes))


def _apply(content: bytes, changes: Sequence[tuple[int, int, int, int]]) -> bytes:
    changed = bytearray(content)
    for kind, first, second, value in changes:
        start = first % (len(changed) + 1)
        end = min(start + 1 + second % 64, len(changed))
        if kind == 0 and start < len(changed):
            changed[start] ^= 1 << value % 8
        elif kind == 1 and start < len(changed):
            changed[start] = value % 256
        elif kind == 2:
            size, order = 2 ** (value % 4), "little" if second % 2 else "big"
            edge = EDGES[value % len(EDGES)] % 256**size
            changed[start : start + size] = edge.to_bytes(size, order)
        elif kind == 3:
            del changed[start:]
        elif kind == 4:
            del changed[start:end]
        elif kind == 5:
            changed[start:start] = changed[start:end] * (1 + value % 16)
        elif kind == 6:
            changed[start:start] = bytes([value % 256]) * (second % 100)
    return bytes(changed)


def damaged_json(record: Any) -> st.SearchStrategy[str]:
    """The record's text with up to three odd values, missing, renamed and doubled entries; sometimes no JSON at all."""
    count = len(list(_nodes(record)))
    change = st.tuples(st.integers(0, count - 1), st.integers(0, 7), st.integers(0, len(ODD) - 1))
    structured = st.lists(change, max_size=3).map(lambda changes: _changed(record, changes))
    text = json.dumps(record).encode()
    return st.one_of(structured, structured, structured, damaged(text).map(lambda raw: raw.decode(errors="replace")))


def _nodes(value: Any, holder: Any = None, key: Any = None) -> Iterator[Node]:
    """Every place in a record: what holds it and under which key."""
    yield holder, key
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, entry in entries:
        yield from _nodes(entry, value, name)


def _changed(record: Any, changes: Sequence[tuple[int, int, int]]) -> str:
    top = [copy.deepcopy(record)]
    doubled = ""
    for place, kind, value in changes:
        places = list(_nodes(top[0], top, 0))
        holder, key = places[place % len(places)]
        if kind == 6 and isinstance(holder, dict):
            doubled = doubled or key
        elif kind == 7 and holder is not top:
            del holder[key]
        elif kind == 5 and isinstance(holder, dict):
            holder[str(ODD[value])] = holder.pop(key)
        elif kind == 4 and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        else:
            holder[key] = copy.deepcopy(ODD[value])
    text = json.dumps(top[0])
    text = text.replace(f'"{DEEP}"', "[" * 5000 + "]" * 5000).replace(f'"{LONG}"', "9" * 5000)
    return text.replace(f'"{doubled}": ', f'"{doubled}": 1, "{doubled}": ', 1) if doubled else text


def odd_lines(good: Sequence[str], words: Sequence[str], separators: Sequence[str]) -> st.SearchStrategy[str]:
    """Lines of a list or a device: some that are right, and others of odd words between separators."""
    word = st.one_of(
        st.sampled_from(words), st.sampled_from(NAMES), st.sampled_from(EDGES).map(str), st.text(max_size=8)
    )
    line = st.lists(word, max_size=4).flatmap(lambda found: st.sampled_from(separators).map(lambda s: s.join(found)))
    ending = st.sampled_from(("\n", "\n", "\r\n", "", "\0", "\x1c"))
    odd = st.lists(st.tuples(st.one_of(st.sampled_from(good), line), ending), max_size=4)
    whole = "".join(f"{text}\n" for text in good)
    return st.tuples(st.sampled_from((whole, whole, "")), odd, st.booleans()).map(_mixed)


def _mixed(case: tuple[str, Sequence[tuple[str, str]], bool]) -> str:
    whole, odd, first = case
    text = "".join(line + end for line, end in odd)
    return whole + text if first else text + whole
