"""The Androids that can be emulated: their ABIs, numbers, tools, and what those know (androids.toml)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.packing.abi import ABIS

TABLE = Path(__file__).parent / "androids.toml"
NEWEST = 14
OLDEST = 8
# On the device; the tools of an older Android are run by it.
OLD_TOOL = "/system/etc/old_tool.sh"


@dataclass(frozen=True)
class Android:
    """One version.

    Attributes:
      release: what it calls itself (`ro.build.version.release`).
      sdk: its API level.
      tools: names of its tools.
      options: the options that a tool knows, of those that know fewer than today's.
      fails: of what option without which other a tool fails.
    """

    release: str
    sdk: int
    tools: tuple[str, ...]
    options: Mapping[str, str]
    fails: Mapping[str, str]

    def script(self, tool: str) -> str | None:
        """The text of a tool that knows less than today's; None for one that is today's."""
        if tool not in self.options:
            return None
        words = self.options[tool].split()
        short = words.pop(0) if words and not words[0].startswith("--") else ""
        with_, _, without = self.fails.get(tool, "").partition(" without ")
        return (
            f"#!/system/bin/sh\ntool={tool} short='{short}' long='{' '.join(words)}' "
            f"with='{with_}' without='{without}' fails=no\n. {OLD_TOOL}\n"
        )


@cache
def androids() -> Mapping[int, Android]:
    """All versions, by their number."""
    table = tomllib.loads(TABLE.read_text())
    return {
        int(number): Android(
            release=entry["release"],
            sdk=entry["sdk"],
            tools=tuple(entry["tools"].split()),
            options=entry.get("options", {}),
            fails=entry.get("fails", {}),
        )
        for number, entry in table.items()
    }


def read_abi(text: str) -> str:
    """Reads `--abi`.

    Raises:
      UsageError: a device of that ABI cannot be emulated.
    """
    names = [abi.android for abi in ABIS]
    if text not in names:
        raise UsageError(f"--abi {text}: give {' or '.join(names)}")
    return text


def read_number(text: str) -> int:
    """Reads `--android`.

    Raises:
      UsageError: that version cannot be emulated.
    """
    if not text.isdigit() or int(text) not in androids():
        raise UsageError(f"--android {text}: give {', '.join(map(str, androids()))}")
    return int(text)
