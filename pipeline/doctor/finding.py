"""What was looked at, what was found, and the command that mends it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How it stands with one need of a run.

    OK: it is met. NOTE: it is not, and the run that was asked about does without. FIX: the run cannot start.
    """

    OK = "ok"
    NOTE = "note"
    FIX = "fix"


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
      state: how it stands.
      said: what was found.
      mend: the command, or what to do; empty where what was found says it already.
    """

    state: State
    said: str
    mend: str = ""


@dataclass(frozen=True)
class Section:
    """Findings on one matter, under their heading."""

    title: str
    findings: tuple[Finding, ...]


def ok(said: str) -> Finding:
    """A need that is met."""
    return Finding(State.OK, said)


def lacking(said: str, mend: str = "", *, needed: bool = True) -> Finding:
    """A need that is not met; `needed` by the run that was asked about."""
    return Finding(State.FIX if needed else State.NOTE, said, mend)
