"""manifest.json of a package: every file with its size and digest, and the version of everything in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from device_runtime.formats.errors import FormatError

FORMAT = 1
FILE_NAME = "manifest.json"

# The features of images that a frozen backbone has seen.
CACHE = "cache"

# What a run writes into a package is not part of it.
RUN_FOLDERS = ("output", CACHE, "job")


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
    """Every file of a package, sorted by path, but for the manifest itself and what a run writes."""
    files: list[File] = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if not path.is_file() or relative.parts[0] in (*RUN_FOLDERS, FILE_NAME):
            continue
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
        record = json.loads(text)
        if record["format"] != FORMAT:
            raise FormatError(f"the package has format {record['format']}, this program reads {FORMAT}: package again")
        return Manifest(
            target=record["target"],
            model=record["model"],
            files=tuple(File(**file) for file in record["files"]),
            versions={name: Version(**version) for name, version in record["versions"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"not a package's manifest ({error}): package the model again") from error


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
