"""manifest.json of a package: every file with its size and digest, and the version of everything in it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from device_runtime.formats.errors import FormatError
from device_runtime.formats.paths import check_path
from device_runtime.formats.records import parse_object, typed
from device_runtime.formats.whole_file import whole_file

FORMAT = 1
FILE_NAME = "manifest.json"

# The features of images that a frozen backbone has seen.
CACHE = "cache"
# What a device's interpreter compiled, by run.sh.
COMPILED = f"{CACHE}/python"

# A user's own training loop.
LOOP = "loop"

# Checkpoints and records of trainings.
OUTPUT = "output"

# In it, of the host: how many bytes of the training's record were brought away.
PULLED = ".pulled"

# What a run writes into a package is not part of it.
RUN_FOLDERS = (OUTPUT, CACHE, "job")

_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class File:
    """One file: path relative to the package with forward slashes, SHA-256 in hexadecimal."""

    path: str
    size_bytes: int
    sha256: str
    executable: bool


@dataclass(frozen=True)
class Version:
    """One distribution in the package; `sha256` is that of the archive it came in, or empty."""

    version: str
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a package holds."""

    target: str
    model: str
    files: tuple[File, ...]
    versions: Mapping[str, Version]

    @property
    def size_bytes(self) -> int:
        """Sum of the sizes of all files."""
        return sum(file.size_bytes for file in self.files)


def describe(folder: Path) -> tuple[File, ...]:
    """Every file of a package, sorted by path, but for the manifest itself and what a run writes.

    Raises:
      FormatError: a file's name cannot travel.
    """
    files: list[File] = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if not path.is_file() or relative.parts[0] in (*RUN_FOLDERS, FILE_NAME):
            continue
        try:
            check_path(relative.as_posix())
        except ValueError as error:
            raise FormatError(f"{error}: give the file in {folder} a name of plain characters") from error
        status = path.stat()
        files.append(File(relative.as_posix(), status.st_size, _digest(path), bool(status.st_mode & 0o100)))
    return tuple(files)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes manifest.json into `folder`."""
    (folder / FILE_NAME).write_text(json.dumps({"format": FORMAT, **asdict(manifest)}, indent=1) + "\n")


def read_manifest(path: Path) -> Manifest:
    """Reads a manifest file.

    Raises:
      FormatError: it is missing, damaged or of another format.
    """
    try:
        return parse_manifest(path.read_text("utf-8", errors="replace"))
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}; package the model again") from error
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error


def parse_manifest(text: str) -> Manifest:
    """Reads a manifest's text.

    Raises:
      FormatError: it is damaged or of another format.
    """
    try:
        record = parse_object(text)
        if (found := typed(int, record.pop("format"))) != FORMAT:
            raise FormatError(f"the package has format {found}, this program reads {FORMAT}: package again")
        manifest: Manifest = typed(Manifest, record)
        _check(manifest)
        return manifest
    except (ValueError, KeyError) as error:
        raise FormatError(f"not a package's manifest ({error}): package the model again") from error


def _check(manifest: Manifest) -> None:
    """Raises ValueError where a file is none of a package, or its size or digest cannot be meant."""
    for file in manifest.files:
        check_path(file.path)
        if file.path.split("/")[0] in (*RUN_FOLDERS, FILE_NAME):
            raise ValueError(f"{file.path} is no file of a package")
        if file.size_bytes < 0 or not _DIGEST.fullmatch(file.sha256):
            raise ValueError(f"{file.path} has no size or no digest")
    if len({file.path for file in manifest.files}) < len(manifest.files):
        raise ValueError("a file is there twice")


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compares every file's content with the manifest.

    What was found right is noted in the package's cache/, with size and times: it is not read again until they change.

    Raises:
      FormatError: files are missing or other than the manifest says; the message names them.
    """
    stamp = folder / CACHE / "checked.json"
    noted, now = _read_stamp(stamp), dict[str, list[str | int]]()
    wrong: list[str] = []
    for file in manifest.files:
        state = _state(folder / file.path, file)
        if state is None or (noted.get(file.path) != state and not _holds(folder / file.path, file.sha256)):
            wrong.append(file.path)
        else:
            now[file.path] = state
    if wrong:
        names = ", ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        raise FormatError(f"the package {folder} does not match its manifest: {names}; package or push it again")
    if now != noted:
        # A package that cannot be written to is read again each time.
        with suppress(OSError):
            stamp.parent.mkdir(exist_ok=True)
            with whole_file(stamp) as temporary:
                temporary.write_text(json.dumps(now))


def package_digest(manifest: Manifest) -> str:
    """A digest of what a training is made of, the same on every target: graphs, weights and images."""
    made_of = [
        (file.path, file.sha256)
        for file in manifest.files
        if file.path.startswith(("model/", "dataset/")) and not file.path.startswith("model/reference/")
    ]
    return hashlib.sha256(json.dumps(sorted(made_of)).encode()).hexdigest()


def _state(path: Path, file: File) -> list[str | int] | None:
    """What changes when the file does; None where it is not even of the size that the manifest says."""
    try:
        status = path.stat()
    except OSError:
        return None
    if status.st_size != file.size_bytes:
        return None
    return [file.sha256, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _holds(path: Path, sha256: str) -> bool:
    try:
        return _digest(path) == sha256
    except OSError:
        return False


def _read_stamp(stamp: Path) -> dict[str, list[str | int]]:
    """What was noted; nothing where that is damaged."""
    try:
        noted = json.loads(stamp.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return noted if isinstance(noted, dict) else {}
