"""The one place that talks to an adb server: a device by its serial, and commands on it with their exit codes."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass

import adbutils

from pipeline.commands import run
from pipeline.errors import CommandError, TargetError
from pipeline.targets.adb.parse import Address, choose_device, parse_devices, server_address
from pipeline.targets.adb.shell import Broken, Clock, OnOutput, Silent, Stdin, marked, run_marked, run_v2

CALL_TIMEOUT_S = 60.0
ASK_TIMEOUT_S = 10.0
OPEN_TIMEOUT_S = 30.0
AGAIN = "plug it in again and repeat the command"


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

    def __init__(self, serial: str) -> None:
        self.serial = serial
        self.sent_bytes = 0
        self._server = server_address(os.environ)
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
    ) -> Result:
        """Runs a shell command on the device to its end.

        Args:
          command: read by the device's own shell.
          stdin: what the command reads.
          on_stdout: takes stdout as it comes; it is not collected then.
          timeout_s: longest duration.
          live: `timeout_s` is the longest silence instead, however long the command takes.

        Raises:
          ConnectionLost: the device went away or did not answer in time.
        """
        stdout = bytearray()
        take = on_stdout or stdout.extend
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

    def reconnect(self, timeout_s: float) -> None:
        """Waits until the device answers a command again.

        Raises:
          ConnectionLost: it does not within `timeout_s`.
        """
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            with suppress(TargetError):
                if ":" in self.serial:
                    # Only devices on the network have to be asked for again; the server finds those on USB itself.
                    ask(self._server, f"host:connect:{self.serial}", min(5.0, timeout_s))
                # A server lists a device whose connection is dead as ready until it tries to use it.
                if self.execute("true", timeout_s=min(5.0, timeout_s)).code == 0:
                    return
            time.sleep(0.5)
        raise ConnectionLost(
            f"{self.serial} did not come back within {timeout_s:g} s: what it runs goes on; "
            "plug it in again and run `invoke attach`"
        )

    def _counted(self, stdin: Stdin) -> Iterator[bytes]:
        for chunk in stdin.chunks:
            yield chunk
            self.sent_bytes += len(chunk)

    def _features(self) -> list[str]:
        service = f"host-serial:{self.serial}:features"
        with self._explained("features"), _request(self._server, [service], ASK_TIMEOUT_S) as connection:
            return _block(connection, ASK_TIMEOUT_S).split(",")

    def _open(self, service: str, timeout_s: float) -> AbstractContextManager[adbutils.AdbConnection]:
        return _request(self._server, [f"host:transport:{self.serial}", service], timeout_s)

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


class _Connection(adbutils.AdbConnection):  # type: ignore[misc]
    """adbutils' connection, but for its habit to start the adb that it carries wherever no server answers."""

    def _safe_connect(self) -> socket.socket:
        connected: socket.socket = self._create_socket()
        return connected


@contextmanager
def _request(server: Address, services: Sequence[str], timeout_s: float) -> Iterator[adbutils.AdbConnection]:
    """A connection on which the server has granted each of `services`, for as long as the block runs."""
    with _translated(timeout_s):
        connection = _Connection(server.host, server.port)
    with connection:
        with _translated(timeout_s):
            connection.conn.settimeout(timeout_s)
            for service in services:
                connection.send_command(service)
                connection.check_okay()
        yield connection


def _block(connection: adbutils.AdbConnection, timeout_s: float) -> str:
    with _translated(timeout_s):
        return str(connection.read_string_block())


@contextmanager
def _translated(timeout_s: float) -> Iterator[None]:
    """Nothing but the library's own calls belongs in the block: an OSError of a callback means something else."""
    try:
        yield
    except (TimeoutError, adbutils.AdbTimeout) as error:
        raise Silent(timeout_s) from error
    except (adbutils.AdbError, OSError, ValueError) as error:
        raise Broken(str(error)) from error


def ask(server: Address, service: str, timeout_s: float = ASK_TIMEOUT_S) -> str:
    """The server's own answer to a request such as `host:devices`.

    Raises:
      TargetError: it does not answer in time, or refuses.
    """
    try:
        with _request(server, [service], timeout_s) as connection:
            return _block(connection, timeout_s)
    except (Silent, Broken) as error:
        raise TargetError(
            f"the adb server on port {server.port} does not answer `{service}` ({error}): "
            "run `adb kill-server`, then `adb start-server`"
        ) from error


def choose(serial: str | None) -> Adb:
    """The device to use.

    Raises:
      TargetError: no adb server and no adb to start one, no device, several, offline, unauthorized.
    """
    server = server_address(os.environ)
    if not _listens(server):
        _start_server(server)
    listed = parse_devices(ask(server, "host:devices"))
    return Adb(choose_device(listed, serial or os.environ.get("ANDROID_SERIAL") or None))


def _listens(server: Address) -> bool:
    try:
        socket.create_connection((server.host, server.port), timeout=2).close()
    except OSError:
        return False
    return True


def _start_server(server: Address) -> None:
    if shutil.which("adb") is None:
        raise TargetError(
            f"no adb server runs on port {server.port}, and adb is not on PATH: install adb and run "
            "`adb start-server`, or `invoke emulator.start`, which brings its own"
        )
    try:
        # adb reads the same variables as we do.
        run(["adb", "start-server"], timeout_s=30)
    except CommandError as error:
        raise TargetError(f"the adb server could not be started: {error}") from error


def _short(command: str) -> str:
    return command if len(command) <= 60 else command[:57] + "..."


def quote(word: object) -> str:
    """A word for the device's shell."""
    return shlex.quote(str(word))
