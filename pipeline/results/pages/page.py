"""Templates to files: each a page of its own, which opens without a network."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.files import new_file
from pipeline.results.pages.names import short

if TYPE_CHECKING:
    from jinja2 import Environment


def write_page(template: str, path: Path, **parts: Any) -> None:
    """Fills a template of this folder; every text in it is escaped.

    Raises:
      PipelineError: the file cannot be written.
    """
    page = _environment().get_template(template).render(**parts)
    with new_file(path) as temporary:
        # Names of files may hold bytes that are no text.
        temporary.write_text(page, "utf-8", errors="replace")


@cache
def _environment() -> Environment:
    """The templates, each compiled once."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = short
    return environment
