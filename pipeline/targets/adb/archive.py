"""Files of a package as one tar stream: adb opens two connections for every single file."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from device_runtime.formats.manifest import File
from pipeline.errors import TargetError
from pipeline.targets.adb.shell import CHUNK

# zlib's numbers: the level that keeps pace with a cable, and a gzip header around what is compressed.
LEVEL, GZIP = 1, 31

# The last member: a stream that is cut off between two members looks whole to `tar`.
COMPLETE = ".complete"


def tar_bytes(files: Sequence[File]) -> int:
    """Size of what `tar_stream` yields."""
    headers = sum(len(_header(file.path, 0, False)) for file in (*files, File(COMPLETE, 0, "", False)))
    return (
        headers + sum(file.size_bytes + -file.size_bytes % tarfile.BLOCKSIZE for file in files) + 2 * tarfile.BLOCKSIZE
    )


def tar_stream(package: Path, files: Sequence[File]) -> Iterator[bytes]:
    """The files as a tar archive, in pieces of at most `CHUNK` bytes, with modes 0600 and 0700 and no times.

    The last member is an empty file `COMPLETE`.

    Raises:
      TargetError: a file is not as the manifest says.
    """
    for file in files:
        yield _header(file.path, file.size_bytes, file.executable)
        left = file.size_bytes
        with (package / file.path).open("rb") as content:
            while chunk := content.read(min(CHUNK, left)):
                left -= len(chunk)
                yield chunk
            if left or content.read(1):
                raise TargetError(
                    f"{package / file.path} has changed since it was packaged: run `invoke package` again"
                )
        if padding := -file.size_bytes % tarfile.BLOCKSIZE:
            yield bytes(padding)
    yield _header(COMPLETE, 0, False)
    yield bytes(2 * tarfile.BLOCKSIZE)


def gzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks as one gzip stream."""
    packer = zlib.compressobj(LEVEL, wbits=GZIP)
    for chunk in chunks:
        # Most of what is little is kept for later; an empty piece would end the sending.
        if piece := packer.compress(chunk):
            yield piece
    yield packer.flush()


def _header(path: str, size_bytes: int, executable: bool) -> bytes:
    header = tarfile.TarInfo(path)
    header.size = size_bytes
    header.mode = 0o700 if executable else 0o600
    try:
        return header.tobuf(tarfile.USTAR_FORMAT)
    except ValueError:
        # A longer path is a member of its own, which an old toybox may read in half where it comes through a pipe.
        return header.tobuf(tarfile.GNU_FORMAT)
