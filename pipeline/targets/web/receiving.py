"""The output folder as the page may write it: files of a training, each whole or not at all, of a bounded size."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from io import BufferedIOBase
from pathlib import Path

from device_runtime.formats.paths import check_name
from pipeline.errors import PipelineError
from pipeline.files import new_file

# What web_runtime/ writes.
_NAMES = re.compile(r"(metrics|evaluation_\d+)\.jsonl|predictions_\d+\.bin|.+_trained_\d+\.safetensors")
MOST_BYTES = 2**30
_CHUNK = 2**20


class Refused(Exception):
    """A request that is not answered as it was meant."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Output:
    """The output folder of a package."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, name: str) -> Path:
        """Where a file of that name is.

        Raises:
          Refused: a training has no file of that name.
        """
        try:
            check_name(name)
        except ValueError as error:
            raise Refused(HTTPStatus.NOT_FOUND, str(error)) from error
        if not _NAMES.fullmatch(name):
            raise Refused(HTTPStatus.NOT_FOUND, "a training has no such file")
        return self._folder / name

    def receive(self, name: str, size_bytes: int, sha256: str, source: BufferedIOBase) -> None:
        """Takes a file, in place of what is there.

        Raises:
          Refused: it is none of a training, too large, or arrived other than it was sent.
        """
        path = self.path(name)
        if size_bytes > MOST_BYTES:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{name} is larger than {MOST_BYTES} bytes")
        try:
            with new_file(path) as temporary, temporary.open("wb") as file:
                if _copied(source, file.write, size_bytes) != sha256:
                    raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, f"{name} arrived other than it was sent")
        except PipelineError as error:
            raise Refused(HTTPStatus.INSUFFICIENT_STORAGE, str(error)) from error

    def remove(self, name: str) -> None:
        """Removes a file, where there is one.

        Raises:
          Refused: as of `path`.
        """
        with suppress(OSError):
            self.path(name).unlink()


def _copied(source: BufferedIOBase, write: Callable[[bytes], object], size_bytes: int) -> str:
    """Copies so many bytes, fewer where there are no more; returns their SHA-256."""
    digest = hashlib.sha256()
    while size_bytes and (chunk := source.read(min(size_bytes, _CHUNK))):
        digest.update(chunk)
        write(chunk)
        size_bytes -= len(chunk)
    return digest.hexdigest()
