"""Files that appear whole or not at all, and records of a results folder as such files."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from device_runtime.formats.errors import FormatError
from device_runtime.formats.records import parse_object, typed
from device_runtime.formats.whole_file import held
from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# What tempfile puts behind the prefix.
_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}")

_Record = TypeVar("_Record", bound="DataclassInstance")
_Value = TypeVar("_Value")


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """A temporary folder beside `final` that takes its name, and its place, when the block ends well.

    Raises:
      PipelineError: the parent cannot be written to or the disk is full.
    """
    with folders_above(final), explain_os_error(final):
        temporary = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
        try:
            temporary.chmod(0o755)
            with held(temporary):
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
      PipelineError: the parent cannot be written to, the disk is full, or a folder has the name.
    """
    with folders_above(final), explain_os_error(final):
        if final.is_dir():
            raise PipelineError(f"{final} is a folder, where a file is to be written: name another one, or remove it")
        handle, name = tempfile.mkstemp(prefix=f".{final.name}.", dir=final.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            with held(temporary):
                yield temporary
            # After the block: safetensors puts a file of its own, which only its owner reads, in this one's place.
            temporary.chmod(0o644)
            temporary.replace(final)
        finally:
            temporary.unlink(missing_ok=True)


def write_record(path: Path, record: DataclassInstance) -> None:
    """Writes a dataclass as JSON.

    Raises:
      PipelineError: the folder cannot be written to.
    """
    with new_file(path) as temporary:
        temporary.write_text(json.dumps(asdict(record), indent=1) + "\n")


def read_record(path: Path, kind: type[_Record]) -> _Record | None:
    """Reads what `write_record` wrote; None where there is nothing, as in results of an older version.

    Raises:
      FormatError: it is damaged.
    """
    if not path.is_file():
        return None
    try:
        record: _Record = typed(kind, parse_object(path.read_text("utf-8")))
        return record
    except (ValueError, OSError) as error:
        raise FormatError(f"{path} is damaged ({error}): remove it, or pull again") from error


def read_converted(path: Path, parse: Callable[[str], _Value]) -> _Value:
    """Reads a file that the conversion of a dataset wrote beside dataset.json.

    Args:
      path: the file.
      parse: raises ValueError where the text is damaged.

    Raises:
      FormatError: it is missing or damaged.
    """
    try:
        return parse(path.read_text("utf-8"))
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}; convert the dataset again") from error
    except ValueError as error:
        raise FormatError(f"{path} is damaged ({error}): convert the dataset again") from error


def remove_leftovers(folder: Path) -> None:
    """Removes temporary files and folders of processes that were killed: those that no process holds any more."""
    for path in folder.glob(".*"):
        if not _TEMPORARY.fullmatch(path.name) or path.is_symlink():
            continue
        with suppress(OSError), held(path):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


@contextmanager
def alone_in(folder: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Holds `folder`, which may not exist yet, against other processes that call this; waits for one that has it.

    What a killed process had begun there is removed. The hold ends with the process, however that ends.

    Args:
      folder: what two processes must not change at once.
      on_wait: called when another process has it.

    Raises:
      PipelineError: the folder cannot be made.
    """
    with folders_above(folder / "held"), ExitStack() as holding:
        with explain_os_error(folder):
            try:
                holding.enter_context(held(folder))
            except BlockingIOError:
                on_wait()
                holding.enter_context(held(folder, wait=True))
        for place in (folder, *folder.glob("*/")):
            remove_leftovers(place)
        yield


@contextmanager
def folders_above(path: Path) -> Iterator[None]:
    """Makes the folders above `path`; those that were missing and are empty after the block go again.

    Raises:
      PipelineError: they cannot be made.
    """
    with explain_os_error(path):
        missing = [folder for folder in path.parents if not folder.exists()]
    try:
        with explain_os_error(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()


def check_writable(folder: Path) -> None:
    """Finds out before a long work whether its results can be written into `folder`, which may not exist yet.

    Raises:
      PipelineError: they cannot.
    """
    with folders_above(folder / "results"), explain_os_error(folder), tempfile.TemporaryDirectory(dir=folder):
        pass


@contextmanager
def explain_os_error(path: Path) -> Iterator[None]:
    """Turns an OSError of the block (read-only folder, full disk, missing file) into one line that names the file."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        # Where a folder is to be made, what is in its way is a file.
        reason = "is a file, not a folder" if isinstance(error, FileExistsError) else error.strerror or error
        raise PipelineError(
            f"{where}: {reason} (while writing {path}); "
            "check that the folder can be written to and that its disk has space"
        ) from error


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
