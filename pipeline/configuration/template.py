"""`invoke init`: a train.toml that says what there is, and changes nothing until a line is uncommented."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

from device_runtime.formats.option import Option
from pipeline.configuration.file import FILE_NAME, PROJECT_FILE, project_table
from pipeline.configuration.given import key_of
from pipeline.configuration.sections import by_task, meanings, takers
from pipeline.configuration.toml import example_text, toml_of
from pipeline.errors import CONSOLE_COMMAND, UsageError
from pipeline.files import new_file

WIDTH = 120

HEAD = f"""\
# Options of {CONSOLE_COMMAND}. A line without its # is in force; `{CONSOLE_COMMAND} config` shows what is, and why.
# What is typed comes before the environment (TRAIN_ON_DEVICE_CYCLES=300), and that before this file.
# An option is for each task that takes it; in a table with a task's name, at the end, as [bench], for that task alone.
"""


def write_template(folder: Path) -> Path:
    """Writes it and returns its path.

    Raises:
      UsageError: there is one, or pyproject.toml holds the options.
    """
    path = folder / FILE_NAME
    # A link that leads nowhere is something, too.
    if path.exists() or path.is_symlink():
        raise UsageError(f"{FILE_NAME} is here already: move it away first")
    if project_table(folder):
        raise UsageError(f"{PROJECT_FILE} holds the options, in [tool.{CONSOLE_COMMAND}]: keep them there")
    with new_file(path) as temporary:
        temporary.write_text(template(), encoding="utf-8")
    return path


def template() -> str:
    """Every option that a file can hold, with its help, its default commented out."""
    return "\n".join([HEAD, *_sections()])


def _sections() -> Iterator[str]:
    for task, options in by_task().items():
        yield f"# ---- {task} ----\n"
        for name, option in options.items():
            yield _entry(name, option)


def _entry(name: str, option: Option) -> str:
    texts = [*meanings(option), f"[{takers(option)}]"]
    comments = [line for text in texts for line in textwrap.wrap(text, WIDTH - 2)]
    return "\n".join(
        [*(f"# {line}" for line in comments), f"#{key_of(name)} = {toml_of(name, example_text(name))}", ""]
    )
