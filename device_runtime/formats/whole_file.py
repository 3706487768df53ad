"""Files that appear whole or not at all, also when the power goes."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# A dot, the final name, a dot, the id of the process that writes it.
_TEMPORARY = re.compile(r"\..+\.(\d+)")


@contextmanager
def whole_file(final: Path) -> Iterator[Path]:
    """A temporary path beside `final` that takes its name when the block ends well; file and folder are on disk then.

    Raises:
      OSError: the disk is full or the folder cannot be written to.
    """
    temporary = final.with_name(f".{final.name}.{os.getpid()}")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(final)
        _sync(final.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def held(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Holds a file or a folder against other processes that call this, and no longer than this process lives.

    Raises:
      BlockingIOError: another process holds it, and nobody asked to wait.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Removes what processes that are no more were writing into `folder` when they ended."""
    for path in folder.glob(".*"):
        found = _TEMPORARY.fullmatch(path.name)
        if found and path.is_file() and not _lives(int(found[1])):
            path.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
