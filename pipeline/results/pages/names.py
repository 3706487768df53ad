"""Names of classes, which may be anything, as a picture takes them."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.errors import in_line


def short(name: str, longest: int) -> str:
    """The name in one line, its middle left out where it is long."""
    line = in_line(name)
    if len(line) <= longest:
        return line
    head = (longest - 1) // 2
    return f"{line[:head]}…{line[len(line) - (longest - 1 - head) :]}"


def names_of(classes: Sequence[str], count: int) -> list[str]:
    """Names of `count` classes; a model may have more outputs than its dataset has classes."""
    return [*classes[:count], *(f"class {index}" for index in range(len(classes), count))]
