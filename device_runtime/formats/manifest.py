"""manifest.json of a package: every file with its size and digest, and the version of everything in it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from device_runtime.formats.errors import FormatError
from device_runtime.formats.paths import check_path
from device_runtime.formats.records import parse_object, typed

FORMAT = 1
FILE_NAME = "manifest.json"

# The features of images that a frozen backbone has seen.
CACHE = "cache"

# What a run writes into a package is not part of it.
RUN_FOLDERS = ("output", CACHE, "job")

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
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        status = path.stat()
        files.append(File(relative.as_posix(), status.st_size, digest, bool(status.st_mode & 0o100)))
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


def check_sizes(folder: Path, manifest: Manifest) -> None:
    """Compares every file's size with the manifest: cheap enough for each start of the runner.

    Raises:
      FormatError: files are missing or of another size; the message names them all.
    """
    wrong = [f.path for f in manifest.files if not _has_size(folder / f.path, f.size_bytes)]
    if wrong:
        names = ", ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        raise FormatError(f"the package {folder} does not match its manifest: {names}; package or push it again")


def _has_size(path: Path, size_bytes: int) -> bool:
    try:
        return path.stat().st_size == size_bytes
    except OSError:
        return False
