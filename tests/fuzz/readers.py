"""The readers that are fuzzed: what each is given, what it does with it, and the errors by which it may refuse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st


@dataclass(frozen=True)
class Reader:
    """A reader of what may come from anybody.

    Attributes:
      name: what it reads.
      cases: what it is given.
      read: takes an empty folder and a case; AssertionError where what was read cannot be meant.
      refuses: the errors that it documents.
      share: cases of it for one of another reader.
    """

    name: str
    cases: st.SearchStrategy[Any]
    read: Callable[[Path, Any], object]
    refuses: tuple[type[Exception], ...]
    share: float = 1.0


def readers() -> dict[str, Reader]:
    """All of them, by name."""
    from tests.fuzz import dataset_readers, device_readers, format_readers

    found = (*format_readers.READERS, *dataset_readers.READERS, *device_readers.READERS)
    return {reader.name: reader for reader in found}
