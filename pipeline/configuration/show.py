"""`invoke config`: what is in force, and who said so."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.configuration.declared import ASKING, options_for, tasks_with_options
from pipeline.configuration.given import Given, Typed, key_of, typed_options
from pipeline.configuration.resolve import configured, in_force
from pipeline.configuration.toml import default_text, toml_of
from pipeline.errors import UsageError, brief, nearest

_ASIDE = "left out: it does not go with the others"


def shown(typed: Typed) -> str:
    """Every option, its value and where that comes from, as TOML: of the tasks that were typed, or of all.

    Raises:
      UsageError: a place says what cannot be meant.
    """
    given = typed_options(typed)
    places = configured(Path(), os.environ)
    tasks = next((one.value for one in given if one.name == "task"), ())
    known = tasks_with_options()
    if unknown := next((task for task in tasks if task not in known), None):
        advice = nearest(unknown, known) or f": {brief(known)} do"
        raise UsageError(f"{unknown!r} is no task that takes options{advice}")
    if tasks:
        return "\n\n".join(_of_task(task, f"[{task}]", given, places) for task in tasks)
    own = dict.fromkeys(one.task for place in places for one in place if one.task)
    tables = [_table(task, [one for place in places for one in place if one.task == task]) for task in own]
    return "\n\n".join([_of_task(ASKING, "", given, places), *tables])


def _of_task(task: str, heading: str, given: Sequence[Given], places: Sequence[Sequence[Given]]) -> str:
    found = in_force(task, given, places)
    by_name = {one.name: (_line(one.name, one.text), one.origin) for one in found.given}
    lines = [by_name.get(name) or _default(name) for name in sorted(options_for(task)) if name != "task"]
    lines += [(f"# {_line(one.name, one.text)}", f"{one.origin}, {_ASIDE}") for one in found.aside]
    return "\n".join([*([heading] if heading else []), *_aligned(lines)])


def _table(task: str, given: Sequence[Given]) -> str:
    return "\n".join([f"[{task}]", *_aligned([(_line(one.name, one.text), one.origin) for one in given])])


def _line(name: str, text: str) -> str:
    return f"{key_of(name)} = {toml_of(name, text)}"


def _default(name: str) -> tuple[str, str]:
    text = default_text(name)
    return (_line(name, text) if text else f"# {key_of(name)}", "default")


def _aligned(lines: Sequence[tuple[str, str]]) -> Iterator[str]:
    width = max((len(line) for line, _ in lines), default=0)
    return (f"{line:<{width}}  # {origin}" for line, origin in lines)
