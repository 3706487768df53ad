"""Names of files that come from elsewhere: plain ones, which no tool on the way takes for something else."""

from __future__ import annotations

from pathlib import PurePosixPath

# Most bytes of a name on the file systems of Linux and Android.
LONGEST_NAME = 255

_SHOWN = 60


def check_path(path: str) -> None:
    """Refuses what is not the plain path of a file within a folder, with forward slashes, on one line.

    Raises:
      ValueError: it is absolute, leads out of the folder, begins as an option does, or holds a backslash or what cannot
        be printed: the lists of `sha256sum` could not name it.
    """
    plain = path.isprintable() and "\\" not in path and str(PurePosixPath(path)) == path
    if not plain or path in ("", ".") or ".." in path.split("/") or path.startswith(("/", "-")):
        raise ValueError(f"{shown(path)} is no path within the folder")


def check_name(name: str) -> None:
    """Refuses what is not the plain name of a file: a path, an option, a hidden or a temporary one.

    Raises:
      ValueError: it is none.
    """
    check_path(name)
    if "/" in name or name.startswith(".") or len(name.encode()) > LONGEST_NAME:
        raise ValueError(f"{shown(name)} is no plain name of a file")


def shown(text: str) -> str:
    """The beginning of what may hold any character, as an error says it."""
    return ascii(text[:_SHOWN])
