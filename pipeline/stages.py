"""Stages that are not run again while their inputs stay the same.

Each stage writes one folder; a file `.inputs` in it holds a digest of everything the folder was made from, and of the
names, sizes and times of what it holds: a folder that lost a file, or in which one was changed, is made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

from device_runtime.formats.manifest import RUN_FOLDERS
from pipeline.files import explain_os_error

STAMP = ".inputs"
SOURCES = (Path(__file__).parent, Path(__file__).parent.parent / "device_runtime")


def key_of(*inputs: object) -> str:
    """A digest of the inputs: anything with a JSON form or a stable repr."""
    content = json.dumps(inputs, default=repr, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def build_once(folder: Path, key: str, build: Callable[[], None]) -> None:
    """Calls `build`, which makes `folder`, unless it is there as the same key made it."""
    stamp = folder / STAMP
    if stamp.is_file() and stamp.read_text(errors="replace") == _state(folder, key):
        return
    build()
    with explain_os_error(stamp):
        stamp.write_text(_state(folder, key))


def _state(folder: Path, key: str) -> str:
    """A digest of the key and of every file's name, size and time, but for what runs write into a package."""
    found = [(path.relative_to(folder), path) for path in sorted(folder.rglob("*"))]
    made = [path for name, path in found if name.parts[0] not in (STAMP, *RUN_FOLDERS) and path.is_file()]
    states = [(str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns) for path in made]
    return key_of(key, states)


@cache
def program_digest() -> str:
    """SHA-256 over the sources of the host and the device side: what they make changes when they change."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in SOURCES for path in folder.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
