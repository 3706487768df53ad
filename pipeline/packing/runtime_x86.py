"""The x86 runtime: the wheels for the host's interpreter, which is taken too → build/runtime-x86/."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.packing.runtime import PACKAGING, REQUIREMENTS, build_runtime, install_wheels, read_rules, write_versions
from pipeline.stages import key_of

PINNED = (REQUIREMENTS, PACKAGING / "requirements-x86.txt")


def build_x86(build: Path) -> Path:
    """Makes build/runtime-x86/ for this interpreter; what is there for the same pins is kept.

    Raises:
      CommandError: pip failed; the message carries what it said.
    """
    folder = build / "runtime-x86"
    unused = read_rules().unused
    key = key_of("x86", [path.read_text() for path in PINNED], sys.version_info[:2], unused)
    build_runtime(folder, key, lambda temporary: _assemble_x86(temporary, unused))
    return folder


def _assemble_x86(folder: Path, unused: Sequence[str]) -> None:
    write_versions(folder, install_wheels(folder, PINNED, unused))
