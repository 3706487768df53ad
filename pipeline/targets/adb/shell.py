"""A command on a device over an open connection: what it reads, what it prints as it comes, its exit code.

Shell protocol v2 (AOSP, packages/modules/adb, SERVICES.TXT and shell_protocol.h) carries stdout, stderr and the exit
code apart; a device without it gets a marker line. This module knows sockets and bytes, `adb.py` opens the connection.
"""

from __future__ import annotations

import re
import select
import shlex
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pipeline.targets.adb.parse import CLOSE_STDIN, EXIT, HEADER, STDERR, STDIN, STDOUT, Packets

CHUNK = 64 * 1024

# What a command may say beside its stdout; `tar` complains of every file.
MOST_SAID = 2**24
# An exit code and the end of its line.
_CODE = re.compile(rb"([0-9]{1,3})\r?\n")
_LONGEST_CODE = 5

OnOutput = Callable[[bytes], object]


class Silent(Exception):
    """Nothing came through for as long as one was ready to wait."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"no answer within {timeout_s:g} s")
        self.timeout_s = timeout_s


class Broken(Exception):
    """The connection ended before the command did."""


@dataclass(frozen=True)
class Stdin:
    """What a command reads; a device without shell protocol v2 has to know its size beforehand."""

    chunks: Iterable[bytes] = ()
    size_bytes: int = 0


class Clock:
    """How long one still waits: for the whole call, or with `live` for the next byte."""

    def __init__(self, timeout_s: float, *, live: bool = False) -> None:
        self._timeout_s = timeout_s
        self._live = live
        self._end = time.monotonic() + timeout_s

    def heard(self) -> None:
        """Notes that something came through."""
        if self._live:
            self._end = time.monotonic() + self._timeout_s

    def remaining_s(self) -> float:
        """Seconds left.

        Raises:
          Silent: none.
        """
        remaining = self._end - time.monotonic()
        if remaining <= 0:
            raise Silent(self._timeout_s)
        return remaining


def marked(command: str, marker: str, stdin: Stdin) -> str:
    """`command` for a device without shell protocol v2: it prints `marker` and its exit code at the end.

    Such a connection cannot be closed in one direction alone, so `head` ends what the command reads. It is an old Linux
    board's: Android has had v2 longer than a `head` that counts bytes.
    """
    source = f"head -c {stdin.size_bytes} | " if stdin.size_bytes else "</dev/null "
    return f"{source}sh -c {shlex.quote(command)} 2>&1; echo {marker}$?"


def run_v2(connection: socket.socket, stdin: Stdin, take: OnOutput, clock: Clock) -> tuple[int, bytes]:
    """Runs what was sent as `shell,v2,raw:`; returns the exit code and stderr.

    Raises:
      Silent, Broken: the command's end did not come through, or something else than the protocol.
    """
    packets, stderr, said = Packets(), bytearray(), 0
    for data in _exchange(connection, _framed(stdin.chunks), clock):
        for kind, content in _packets(packets, data):
            if kind == EXIT and len(content) == 1:
                return content[0], bytes(stderr)
            if kind == STDOUT and content:
                take(content)
                continue
            said += HEADER.size + len(content)
            if said > MOST_SAID:
                raise Broken(f"it said more than {MOST_SAID:,} bytes beside its output")
            if kind == STDERR:
                stderr += content
    raise Broken("the connection was closed")


def run_marked(connection: socket.socket, marker: bytes, stdin: Stdin, take: OnOutput, clock: Clock) -> int:
    """Runs what was sent as `exec:` and made by `marked`; returns the exit code.

    Raises:
      Silent, Broken: the command's end did not come through, or an exit code that is none.
    """
    rest = b""
    for data in _exchange(connection, stdin.chunks, clock):
        rest += data
        # The marker may come in two pieces: what could be its beginning is held back.
        if marker not in rest:
            take(rest[: -len(marker)])
            rest = rest[-len(marker) :]
        elif len(after := rest.partition(marker)[2]) >= _LONGEST_CODE or after.endswith(b"\n"):
            break
    before, _, after = rest.partition(marker)
    code = _CODE.match(after)
    if code is None:
        raise Broken(f"the exit code is {after[:_LONGEST_CODE]!r}" if after else "the connection was closed")
    take(before)
    return int(code[1])


def _packets(packets: Packets, data: bytes) -> list[tuple[int, bytes]]:
    try:
        return packets.feed(data)
    except ValueError as error:
        raise Broken(str(error)) from error


def _exchange(connection: socket.socket, outgoing: Iterable[bytes], clock: Clock) -> Iterator[bytes]:
    """Sends and receives at once: a command that fails says so, and ends, before it has read everything."""
    pieces = iter(outgoing)
    piece = next(pieces, b"")
    while True:
        readable, writable, _ = select.select([connection], [connection] if piece else [], [], clock.remaining_s())
        if writable:
            piece = piece[_send(connection, piece) :] or next(pieces, b"")
            clock.heard()
        if readable:
            data = _receive(connection)
            if not data:
                return
            clock.heard()
            yield data


def _send(connection: socket.socket, piece: bytes) -> int:
    try:
        return connection.send(piece)
    except (BrokenPipeError, ConnectionResetError):
        # The other side reads no more; why is in what it still has to say.
        return len(piece)
    except OSError as error:
        raise Broken(str(error)) from error


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(CHUNK)
    except OSError as error:
        raise Broken(str(error)) from error


def _framed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield HEADER.pack(STDIN, len(chunk)) + chunk
    yield HEADER.pack(CLOSE_STDIN, 0)
