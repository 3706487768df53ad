"""Stages that are not run again while their inputs stay the same.

Each stage writes one folder; a file `.inputs` in it holds a digest of everything the folder was made from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

from pipeline.files import explain_os_error

STAMP = ".inputs"
SOURCES = (Path(__file__).parent, Path(__file__).parent.parent / "device_runtime")


def key_of(*inputs: object) -> str:
    """A digest of the inputs: anything with a JSON form or a stable repr."""
    content = json.dumps(inputs, default=repr, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def build_once(folder: Path, key: str, build: Callable[[], None]) -> None:
    """Calls `build`, which makes `folder`, unless the folder was made with the same key."""
    stamp = folder / STAMP
    if stamp.is_file() and stamp.read_text() == key:
        return
    build()
    with explain_os_error(stamp):
        stamp.write_text(key)


@cache
def program_digest() -> str:
    """SHA-256 over the sources of the host and the device side: what they make changes when they change."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in SOURCES for path in folder.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
