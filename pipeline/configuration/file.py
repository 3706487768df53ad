"""Options of a file in the folder where one is: train.toml, or [tool.train-on-device] in pyproject.toml."""

from __future__ import annotations

import codecs
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.configuration.declared import declared, options_for, tasks_with_options
from pipeline.configuration.given import Given, key_of
from pipeline.configuration.toml import as_toml, text_of
from pipeline.errors import CONSOLE_COMMAND, UsageError, nearest
from pipeline.options import read_option

FILE_NAME = "train.toml"
PROJECT_FILE = "pyproject.toml"

# However somebody writes it.
_NAMED = re.compile(CONSOLE_COMMAND.replace("-", "[-_]").encode())


@dataclass(frozen=True)
class _Table:
    """What a file says; `header` is how its own top level begins, empty for the file's."""

    place: str
    source: str
    header: str
    content: Mapping[str, Any]


def file_options(folder: Path) -> tuple[Given, ...]:
    """What the file in a folder says of options, those of a task's table with its name; nothing where there is none.

    Raises:
      UsageError: the file cannot be read, names what is no option, or has a value that cannot be meant.
    """
    table = _found(folder)
    return tuple(_options(table)) if table else ()


def project_table(folder: Path) -> bool:
    """Whether pyproject.toml holds options.

    Raises:
      UsageError: it cannot be read.
    """
    return _of_project(folder / PROJECT_FILE) is not None


def _found(folder: Path) -> _Table | None:
    own, project = folder / FILE_NAME, _of_project(folder / PROJECT_FILE)
    if not own.is_file():
        if own.exists() or own.is_symlink():
            raise UsageError(f"{FILE_NAME} is no file that can be read: move it away, `invoke init` writes one")
        return project
    if project:
        raise UsageError(
            f"{FILE_NAME} and [tool.{CONSOLE_COMMAND}] in {PROJECT_FILE} both hold options: keep them in one of the two"
        )
    source = _read(own)
    return _Table(FILE_NAME, source, "", _parsed(own, source))


def _of_project(path: Path) -> _Table | None:
    # What of others' files is wrong is not ours to tell.
    if not path.is_file() or not _NAMED.search(path.read_bytes()):
        return None
    source = _read(path)
    tool = _parsed(path, source).get("tool", {})
    if not isinstance(tool, dict):
        return None
    if misspelt := [key for key in tool if key.replace("_", "-") == CONSOLE_COMMAND != key]:
        raise UsageError(f"{PROJECT_FILE}: [tool.{misspelt[0]}] is not read: write [tool.{CONSOLE_COMMAND}]")
    content = tool.get(CONSOLE_COMMAND)
    if content is None:
        return None
    if not isinstance(content, dict):
        raise UsageError(f"{PROJECT_FILE}: tool.{CONSOLE_COMMAND} is no table: write [tool.{CONSOLE_COMMAND}]")
    return _Table(PROJECT_FILE, source, f"tool.{CONSOLE_COMMAND}", content)


def _read(path: Path) -> str:
    # Editors of Windows begin a file with a mark.
    content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UsageError(f"{path.name}:{line}: that is not UTF-8, as TOML is") from None


def _parsed(path: Path, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(source)
    except RecursionError:
        raise UsageError(f"{path.name}: it is nested too deep") from None
    except ValueError as error:
        # Also of a number with more digits than Python reads.
        last = f"(at line {len(source.splitlines())})"
        raise UsageError(f"{path.name}: {str(error).replace('(at end of document)', last)}") from None


def _options(table: _Table) -> Iterator[Given]:
    tasks = tasks_with_options()
    for key, value in table.content.items():
        if key in tasks and isinstance(value, list):
            raise UsageError(f"{table.place}: {key} is a list: options of that task stand below [{key}]")
        if not isinstance(value, dict):
            yield _option(table, "", key, value)
        elif key in tasks:
            yield from (_option(table, key, inner, held) for inner, held in value.items())
        else:
            raise _no_table(table, key, tasks)


def _no_table(table: _Table, key: str, tasks: Sequence[str]) -> UsageError:
    if key in map(key_of, declared()):
        return UsageError(f"{table.place}: {key} is an option and no table: write {key} = VALUE, above all tables")
    if key == "tool" and not table.header:
        return UsageError(
            f"{table.place}: [tool.{CONSOLE_COMMAND}] stands in {PROJECT_FILE}: here options stand at the top, "
            "and those of one task below [TASK]"
        )
    return UsageError(f"{table.place}: [{key}] is no task that takes options{nearest(key, tasks)}")


def _option(table: _Table, task: str, key: str, value: Any) -> Given:
    taken = {key_of(n): n for n, o in (options_for(task) if task else declared()).items() if not o.words}
    heading = f"[{task}] " if task else ""
    if key not in taken:
        if not task and key in tasks_with_options():
            raise UsageError(f"{table.place}: {key} is a task: its options stand below [{key}]")
        of_task = f" of {task}" if task else ""
        raise UsageError(f"{table.place}: {heading}{key} is no option{of_task}{nearest(key, taken)}")
    name = taken[key]
    try:
        text = text_of(name, value)
        read = read_option(name, declared()[name], text) if text else ""
    except ValueError as error:
        raise UsageError(f"{table.place}: {heading}{key} = {as_toml(value)}: give {error}") from None
    except UsageError as error:
        raise UsageError(f"{table.place}: {heading}{error}") from None
    return Given(name, read, text, table.place, _line(table, task, key), task)


def _line(table: _Table, task: str, key: str) -> int | None:
    """The line that a key stands in; tomllib does not say, and not every way to write it is looked for."""
    wanted, current = ".".join(part for part in (table.header, task) if part), ""
    for number, line in enumerate(table.source.split("\n"), 1):
        if header := re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line):
            current = re.sub(r"[\s\"']", "", header[1])
        elif current == wanted and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return number
    return None
