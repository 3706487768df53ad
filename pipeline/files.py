"""Files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import PipelineError


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """A temporary folder beside `final` that takes its name, and its place, when the block ends well.

    Raises:
      PipelineError: the parent cannot be written to or the disk is full.
    """
    with explain_os_error(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
        temporary.chmod(0o755)
    try:
        with explain_os_error(final):
            yield temporary
            if final.exists():
                old = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
                final.rename(old / "replaced")
                temporary.rename(final)
                shutil.rmtree(old)
            else:
                temporary.rename(final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def new_file(final: Path) -> Iterator[Path]:
    """A temporary path beside `final` that is renamed to it when the block ends well.

    Raises:
      PipelineError: the parent cannot be written to or the disk is full.
    """
    with explain_os_error(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{final.name}.", dir=final.parent)
        os.close(handle)
    temporary = Path(name)
    temporary.chmod(0o644)
    try:
        with explain_os_error(final):
            yield temporary
            temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def explain_os_error(path: Path) -> Iterator[None]:
    """Turns an OSError of the block (read-only folder, full disk, missing file) into one line that names the file."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise PipelineError(
            f"{where}: {error.strerror or error} (while writing {path}); "
            "check that the folder can be written to and that its disk has space"
        ) from error


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
