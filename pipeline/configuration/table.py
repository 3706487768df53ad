"""docs/options.md: every option, as it is declared."""

from __future__ import annotations

from collections.abc import Iterator

from device_runtime.formats.option import Option, long_form
from pipeline.configuration.declared import declared
from pipeline.configuration.sections import by_task, meanings, takers
from pipeline.configuration.toml import default_text

HEAD = """\
# Options

Made of their declarations by `invoke options`. Each can be typed, set in the environment (`--cycles 300` is
`TRAIN_ON_DEVICE_CYCLES=300`) or written into [train.toml](configuration.md) (`cycles = 300`).
"""


def options_page() -> str:
    """The page."""
    words = [(name, option) for name, option in declared().items() if option.words]
    sections = [_section(f"`{task}`", list(options.items())) for task, options in by_task().items()]
    return "\n".join([HEAD, *sections, _section("Words after a task's name", words)])


def _section(heading: str, options: list[tuple[str, Option]]) -> str:
    head = (f"## {heading}\n", "| option | default | what it means | tasks |", "|---|---|---|---|")
    return "\n".join([*head, *_rows(options), ""])


def _rows(options: list[tuple[str, Option]]) -> Iterator[str]:
    for name, option in options:
        text = default_text(name)
        default = "" if text in ("", "false") else f"`{text}`"
        cells = (f"`{long_form(name)}`", default, "<br>".join(meanings(option)), takers(option))
        # In a table that mark ends a cell.
        yield " | ".join(["", *(cell.replace("|", "&#124;") for cell in cells), ""]).strip()
