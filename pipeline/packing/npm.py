"""Files of packages of npm, as a lock file pins them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pipeline.commands import run

_TIMEOUT_S = 900
# The lock file has a digest of each package, which npm compares; no program of a package runs here.
_NPM = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


def pins_in(folder: Path) -> tuple[Path, Path]:
    """The files that pin packages."""
    return folder / "package.json", folder / "package-lock.json"


def npm_files(pins: Path, files: Mapping[str, str], into: Path) -> None:
    """Installs what a folder's lock file names, and keeps files of it.

    Args:
      pins: has package.json and package-lock.json.
      files: by its path in node_modules, the name that each has then.
      into: takes them.

    Raises:
      CommandError: npm is missing or failed; the message carries what it said.
    """
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        for pinned in pins_in(pins):
            shutil.copy(pinned, work / pinned.name)
        run(_NPM, timeout_s=_TIMEOUT_S, cwd=work)
        for path, name in files.items():
            shutil.copy(work / "node_modules" / path, into / name)
