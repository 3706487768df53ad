"""What is in our folder on a device: no links, and files that are read from their beginning."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO

from pipeline.errors import TargetError, brief
from pipeline.targets.adb.adb import Adb, quote
from pipeline.targets.adb.shell import CHUNK, Stdin

# adbd's own umask is 0: every app could read what its shell writes, and change it.
PRIVATE = "umask 077"


class _Enough(Exception):
    """What was asked for is there."""


def check_links(adb: Adb, folder: PurePosixPath) -> None:
    """Looks for links: we make none, and what is written through one lands elsewhere.

    Raises:
      TargetError: the folder, or something in it, is a link.
    """
    links = adb.execute(f"find {quote(folder)} -type l 2>/dev/null").text.splitlines()
    if links:
        raise TargetError(
            f"{adb.serial}: {brief(links, 5)} would lead what is written there elsewhere: "
            f"remove such links (`adb -s {adb.serial} shell rm {quote(links[0])}`), or the whole folder"
        )


def receive(adb: Adb, path: PurePosixPath, size_bytes: int, into: IO[bytes], silence_s: float) -> None:
    """Writes the first bytes of a file of the device, or all when it has fewer, into an open one.

    Args:
      adb: the device.
      path: the file there.
      size_bytes: how many bytes; a device that sends more is interrupted: up to Android 8 `head` counts lines alone.
      into: takes them.
      silence_s: longest time in which nothing comes.

    Raises:
      TargetError: the file cannot be read.
      ConnectionLost: the device went away.
    """
    left = size_bytes

    def take(data: bytes) -> None:
        nonlocal left
        into.write(data[:left])
        if len(data) > left:
            raise _Enough
        left -= len(data)

    with suppress(_Enough):
        done = adb.execute(f"cat {quote(path)}", on_stdout=take, timeout_s=silence_s, live=True)
        if done.code != 0:
            raise TargetError(f"{adb.serial}: {path} cannot be read: {done.complaint}; run `invoke pull` again")


def send(adb: Adb, file: Path, final: PurePosixPath) -> None:
    """Writes a file of this machine to the device, under a temporary name first.

    Raises:
      TargetError: it cannot be written there.
      ConnectionLost: the device went away.
    """
    temporary = quote(final.with_name(f"{final.name}.new"))
    with file.open("rb") as content:
        result = adb.execute(
            f"{PRIVATE}; cat >{temporary} && mv -f {temporary} {quote(final)} || {{ rm -f {temporary}; exit 1; }}",
            stdin=Stdin(iter(lambda: content.read(CHUNK), b""), file.stat().st_size),
            # A large one may take long, but not a byte of it.
            live=True,
        )
    if result.code != 0:
        raise TargetError(f"{adb.serial}: {final} cannot be written: {result.complaint}; {advice(result.complaint)}")


def advice(complaint: str) -> str:
    """What to do next when the device could not write."""
    return "its disk is full: delete something there" if "space" in complaint.lower() else "push again"
