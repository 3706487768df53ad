"""What the project requires of Python, as its own files or its installation declare it, and pip's commands for it."""

from __future__ import annotations

import importlib.metadata
import shlex
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import PipelineError

NAME = "train-on-device"
# Where the sources lie in a checkout.
CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Project:
    """What the project requires.

    Attributes:
      python: version specifier of the interpreter.
      requirements: of other distributions, as PEP 508 writes them.
      constraints: the file with the exact versions that the tests ran with, where there is one.
    """

    python: str
    requirements: tuple[str, ...]
    constraints: Path | None


def read_project(checkout: Path = CHECKOUT) -> Project:
    """Reads the checkout's pyproject.toml or, where the sources lie in no checkout, the installation's metadata.

    Raises:
      PipelineError: neither is there.
    """
    declared, constraints = checkout / "pyproject.toml", checkout / "constraints.txt"
    if declared.is_file():
        project = tomllib.loads(declared.read_text())["project"]
        if project["name"] == NAME:
            pinned = constraints if constraints.is_file() else None
            return Project(project["requires-python"], tuple(project["dependencies"]), pinned)
    try:
        installed = importlib.metadata.metadata(NAME)
    except importlib.metadata.PackageNotFoundError:
        raise PipelineError(f"{NAME} is not installed, and its pyproject.toml is not in {checkout}") from None
    return Project(installed["Requires-Python"] or "", tuple(installed.get_all("Requires-Dist") or ()), None)


def pip(*words: str, constraints: Path | None = None) -> str:
    """The command line of this interpreter's pip; an installation keeps to the versions that the tests ran with."""
    pinned = ["-c", str(constraints)] if constraints and words[0] == "install" else []
    return shlex.join([sys.executable, "-m", "pip", words[0], *pinned, *words[1:]])
