"""What a page of the documentation holds: fences, and words in backticks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.invoking import ROOT

PAGES = [*sorted((ROOT / "docs").glob("*.md")), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md"))]

_FENCE = re.compile(r"^(?P<ticks>```+)(?P<info>[^`\n]*)\n(?P<text>.*?)^(?P=ticks) *$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_NUMBER = r"[\d.,]*\d(?:e-?\d+)?(?:-\d+)*"


@dataclass(frozen=True)
class Fence:
    """A block between two lines of ```.

    Attributes:
      line: where it begins, from 1.
      language: the first word behind its ticks: `sh` for commands, `text` for what those right before it print.
      title: the file that it is, or empty.
      text: what is in it.
    """

    line: int
    language: str
    title: str
    text: str

    @property
    def commands(self) -> list[str]:
        """What is to be typed, a command each: a backslash joins two lines, && parts one."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [" ".join(part.split()) for line in lines for part in line.split("&&") if part.strip()]


def fences_of(page: Path) -> list[Fence]:
    """The page's fences in their order."""
    text = page.read_text()
    found = []
    for match in _FENCE.finditer(text):
        title = _TITLE.search(match["info"])
        line = text.count("\n", 0, match.start()) + 1
        found.append(Fence(line, match["info"].partition(" ")[0], title[1] if title else "", match["text"]))
    return found


def spans_of(page: Path) -> list[str]:
    """What stands in single backticks, a line each."""
    return [" ".join(span.split()) for span in _SPAN.findall(_FENCE.sub("", page.read_text()))]


def as_printed(line: str) -> re.Pattern[str]:
    """A line of a page as commands may print it: any numbers where it has numbers, and anything where it has `…`.

    The word behind a number may be singular or plural: where the page trained on two threads, this machine may on one.
    """
    meant = ""
    for number, part in enumerate(re.split(rf"(…|{_NUMBER})", " ".join(line.split()))):
        if number % 2 == 0:
            meant += re.sub(r"^(\\ [a-z]+?)s?(?![a-z])", r"\1s?", re.escape(part)) if number else re.escape(part)
        else:
            meant += ".*" if part == "…" else _NUMBER
    return re.compile(meant)
