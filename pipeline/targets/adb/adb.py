"""A device by its serial, and commands on it with their exit codes."""

from __future__ import annotations

import os
import shlex
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from pipeline.errors import TargetError
from pipeline.targets.adb import server
from pipeline.targets.adb.parse import Address, is_on_network, server_address
from pipeline.targets.adb.shell import Broken, Clock, OnOutput, Silent, Stdin, marked, run_marked, run_v2

CALL_TIMEOUT_S = 60.0
OPEN_TIMEOUT_S = 30.0
RECONNECT_S = 60.0
# Most answers are a line or two; whoever asks for more says so.
MOST_ANSWERED = 2**20
AGAIN = "plug it in again and repeat the command"

_T = TypeVar("_T")


class ConnectionLost(TargetError):
    """The device went away, or stopped answering, in the middle of a call."""


@dataclass(frozen=True)
class Result:
    """A command's exit code and what it printed."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """What it printed on stdout, as text."""
        return self.stdout.decode(errors="replace")

    @property
    def complaint(self) -> str:
        """What it printed, in one line and each sentence once: `tar` repeats itself for every file."""
        lines = (self.stderr + self.stdout).decode(errors="replace").split("\n")
        return "; ".join(dict.fromkeys(line.strip() for line in lines if line.strip()))[:300]


class Adb:
    """One device. Each call names its serial and has a deadline.

    Attributes:
      sent_bytes: what commands were given to read, in all.
    """

    def __init__(self, serial: str, address: Address | None = None) -> None:
        self.serial = serial
        self.sent_bytes = 0
        self._server = address or server_address(os.environ)
        self._v2: bool | None = None

    @property
    def has_v2(self) -> bool:
        """Whether the device has shell protocol v2: what its commands read may then be of any size.

        Raises:
          ConnectionLost: the device went away or did not answer in time.
        """
        if self._v2 is None:
            self._v2 = "shell_v2" in self._features()
        return self._v2

    def execute(
        self,
        command: str,
        *,
        stdin: Stdin = Stdin(),  # noqa: B008 - frozen
        on_stdout: OnOutput | None = None,
        timeout_s: float = CALL_TIMEOUT_S,
        live: bool = False,
        most_bytes: int = MOST_ANSWERED,
    ) -> Result:
        """Runs a shell command on the device to its end.

        Args:
          command: read by the device's own shell.
          stdin: what the command reads.
          on_stdout: takes stdout as it comes; it is not collected then.
          timeout_s: longest duration.
          live: `timeout_s` is the longest silence instead, however long the command takes.
          most_bytes: of stdout that is collected.

        Raises:
          ConnectionLost: the device went away or did not answer in time.
          TargetError: it printed more than `most_bytes`.
        """
        stdout = bytearray()

        def collect(data: bytes) -> None:
            if len(stdout) + len(data) > most_bytes:
                raise TargetError(f"{self.serial} answers `{_short(command)}` with more than {most_bytes:,} bytes")
            stdout.extend(data)

        take = on_stdout or collect
        counted = Stdin(self._counted(stdin), stdin.size_bytes)
        clock, marker = Clock(timeout_s, live=live), f"exit-{uuid.uuid4().hex}:"
        service = f"shell,v2,raw:{command}" if self.has_v2 else f"exec:{marked(command, marker, stdin)}"
        with self._explained(command), self._open(service, min(timeout_s, OPEN_TIMEOUT_S)) as connection:
            if self.has_v2:
                code, stderr = run_v2(connection.conn, counted, take, clock)
            else:
                code, stderr = run_marked(connection.conn, marker.encode(), counted, take, clock), b""
        return Result(code, bytes(stdout), stderr)

    def check(self, command: str, *, timeout_s: float = CALL_TIMEOUT_S) -> str:
        """Runs a command that has to succeed; returns its stdout.

        Raises:
          TargetError: it ended with another exit code than 0.
        """
        result = self.execute(command, timeout_s=timeout_s)
        if result.code != 0:
            raise TargetError(
                f"`{_short(command)}` on {self.serial} ended with exit code {result.code}: {result.complaint}"
            )
        return result.text

    @contextmanager
    def reversed_port(self, port: int) -> Iterator[None]:
        """Leads a port of the device's loopback to the same one of this machine while the block runs.

        Raises:
          ConnectionLost: the device went away, or has that port in use.
        """
        self._ask(f"reverse:forward:tcp:{port};tcp:{port}")
        try:
            yield
        finally:
            # A device that is gone has forgotten it.
            with suppress(TargetError):
                self._ask(f"reverse:killforward:tcp:{port}")

    def _ask(self, service: str) -> None:
        with self._explained(service), self._open(service, server.ASK_TIMEOUT_S) as connection:
            server.agreed(connection, server.ASK_TIMEOUT_S)

    def reconnect(self, timeout_s: float) -> None:
        """Waits until the device answers a command again; starts the adb server again where that is what went away.

        Raises:
          ConnectionLost: it does not within `timeout_s`.
        """
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            with suppress(TargetError):
                server.ensure(self._server)
                if is_on_network(self.serial):
                    # Only devices on the network have to be asked for again; the server finds those on USB itself.
                    server.connect(self._server, self.serial, min(5.0, timeout_s))
                # A server lists a device whose connection is dead as ready until it tries to use it.
                if self.execute("true", timeout_s=min(5.0, timeout_s)).code == 0:
                    return
            time.sleep(0.5)
        raise ConnectionLost(
            f"{self.serial} did not come back within {timeout_s:g} s: what it runs goes on; plug it in again: "
            "`invoke attach` shows it"
        )

    def repeated(self, call: Callable[[], _T]) -> _T:
        """Makes a call that does no harm when it is made twice: again, where the connection broke in it."""
        try:
            return call()
        except ConnectionLost:
            self.reconnect(RECONNECT_S)
            return call()

    def _counted(self, stdin: Stdin) -> Iterator[bytes]:
        for chunk in stdin.chunks:
            yield chunk
            self.sent_bytes += len(chunk)

    def _features(self) -> list[str]:
        service = f"host-serial:{self.serial}:features"
        timeout_s = server.ASK_TIMEOUT_S
        with self._explained("features"), server.request(self._server, [service], timeout_s) as connection:
            return server.block(connection, timeout_s).split(",")

    def _open(self, service: str, timeout_s: float) -> AbstractContextManager[Any]:
        return server.request(self._server, [f"host:transport:{self.serial}", service], timeout_s)

    @contextmanager
    def _explained(self, command: str) -> Iterator[None]:
        try:
            yield
        except Silent as error:
            raise ConnectionLost(
                f"{self.serial} did not answer `{_short(command)}` within {error.timeout_s:g} s: "
                f"see that it is awake, or {AGAIN}"
            ) from error
        except Broken as error:
            raise ConnectionLost(f"{self.serial} went away during `{_short(command)}` ({error}): {AGAIN}") from error


def _short(command: str) -> str:
    return command if len(command) <= 60 else command[:57] + "..."


def quote(word: object) -> str:
    """A word for the device's shell."""
    return shlex.quote(str(word))
