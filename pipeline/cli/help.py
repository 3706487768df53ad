"""The options of a task as `--help` lists them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from device_runtime.formats.option import Option, long_form
from pipeline.configuration.declared import options_for
from pipeline.configuration.toml import default_text, type_of

# What stands for a value.
_VALUES: dict[type, str] = {int: "N", float: "X", tuple: "A,B"}


def option_lines(task: str) -> list[tuple[str, str | None]]:
    """How each option is typed, and what it means."""
    return [
        (_form(name, option), _with_default(name, option.help_for(task)))
        for name, option in sorted(options_for(task).items())
    ]


def _with_default(name: str, text: str) -> str:
    """What an option means, and its default, where it is not told by the text."""
    default = default_text(name)
    return text if default in ("", "false") or "default" in text else f"{text} (default: {default})"


def _form(name: str, option: Option) -> str:
    flag = long_form(name)
    if option.read is bool:
        return flag
    read: Any = option.read
    value = "PATH" if read is Path else _VALUES.get(type_of(name), "TEXT")
    return f"{flag}[={value}]" if option.alone else f"{flag}={value}"
