"""The one place that talks to an adb server: a device by its serial, and commands on it with their exit codes.

Shell protocol v2 (AOSP, packages/modules/adb, SERVICES.TXT and shell_protocol.h) carries stdout, stderr and the exit
code apart; devices without it get a marker line.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import adbutils

from pipeline.commands import run
from pipeline.errors import CommandError, TargetError
from pipeline.targets import adb_parse
from pipeline.targets.adb_parse import CLOSE_STDIN, EXIT, HEADER, STDERR, STDIN, STDOUT

PORT_VARIABLE = "ANDROID_ADB_SERVER_PORT"
DEFAULT_PORT = 5037
CALL_TIMEOUT_S = 60.0
SERVER_TIMEOUT_S = 10.0
CHUNK = 64 * 1024
AGAIN = "plug it in again and repeat the command"

OnOutput = Callable[[bytes], None]
T = TypeVar("T")


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


class Adb:
    """One device. Each call names its serial and has a deadline.

    Attributes:
      sent_bytes: what commands were given to read, in all.
    """

    def __init__(self, serial: str) -> None:
        self.serial = serial
        self._client = adbutils.AdbClient(host="127.0.0.1", port=server_port())
        self._v2: bool | None = None
        self.sent_bytes = 0

    def execute(
        self,
        command: str,
        *,
        stdin: Iterable[bytes] = (),
        on_stdout: OnOutput | None = None,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> Result:
        """Runs a shell command on the device to its end.

        Args:
          command: read by the device's own shell.
          stdin: what the command reads.
          on_stdout: takes stdout as it comes; it is not collected then.
          timeout_s: longest silence.

        Raises:
          ConnectionLost: the device went away or was silent for longer.
        """
        if self._v2 is None:
            service = f"host-serial:{self.serial}:features"
            features = self._call("features", lambda: ask_server(self._client, service), timeout_s)
            self._v2 = "shell_v2" in features.split(",")
        stdout = bytearray()
        take = on_stdout or stdout.extend
        read = self._read_v2 if self._v2 else self._read_old
        return self._call(command, lambda: read(command, stdin, take, stdout, timeout_s), timeout_s)

    def check(self, command: str, *, timeout_s: float = CALL_TIMEOUT_S) -> str:
        """Runs a command that has to succeed; returns its stdout.

        Raises:
          TargetError: it ended with another exit code than 0.
        """
        result = self.execute(command, timeout_s=timeout_s)
        if result.code != 0:
            said = (result.stderr + result.stdout).decode(errors="replace").strip()
            raise TargetError(f"`{command}` on {self.serial} ended with exit code {result.code}: {said}")
        return result.text

    def reconnect(self, timeout_s: float) -> None:
        """Waits until the device is back.

        Raises:
          ConnectionLost: it is not after `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with suppress(adbutils.AdbError, OSError):
                if ":" in self.serial:
                    # Only devices on the network have to be asked for again; the server finds those on USB itself.
                    self._client.connect(self.serial, timeout=5)
                if ask_server(self._client, f"host-serial:{self.serial}:get-state") == "device":
                    return
            time.sleep(0.5)
        raise ConnectionLost(
            f"{self.serial} did not come back within {timeout_s:g} s: what it runs goes on; "
            "plug it in again and run `invoke attach`"
        )

    def _open(self, service: str, timeout_s: float) -> adbutils.AdbConnection:
        # Not adbutils' open_transport, which asks for the server's version on a connection without a deadline.
        connection = self._client.make_connection(timeout=timeout_s)
        for command in (f"host:transport:{self.serial}", service):
            connection.send_command(command)
            connection.check_okay()
        return connection

    def _read_v2(
        self, command: str, stdin: Iterable[bytes], take: OnOutput, stdout: bytearray, timeout_s: float
    ) -> Result:
        with self._open(f"shell,v2,raw:{command}", timeout_s) as connection:
            for chunk in stdin:
                connection.conn.sendall(HEADER.pack(STDIN, len(chunk)) + chunk)
                self.sent_bytes += len(chunk)
            connection.conn.sendall(HEADER.pack(CLOSE_STDIN, 0))
            packets, stderr = adb_parse.Packets(), bytearray()
            while data := connection.conn.recv(CHUNK):
                for kind, content in packets.feed(data):
                    if kind == STDOUT:
                        take(content)
                    elif kind == STDERR:
                        stderr += content
                    elif kind == EXIT:
                        return Result(content[0], bytes(stdout), bytes(stderr))
        raise ConnectionLost(f"{self.serial} went away during `{_short(command)}`; {AGAIN}")

    def _read_old(
        self, command: str, stdin: Iterable[bytes], take: OnOutput, stdout: bytearray, timeout_s: float
    ) -> Result:
        marker = f"exit-{uuid.uuid4().hex}:".encode()
        with self._open(f"exec:({command}) 2>&1; echo {marker.decode()}$?", timeout_s) as connection:
            for chunk in stdin:
                connection.conn.sendall(chunk)
                self.sent_bytes += len(chunk)
            connection.conn.shutdown(socket.SHUT_WR)
            rest = b""
            while data := connection.conn.recv(CHUNK):
                rest += data
                # The marker may come in two pieces: what could be its beginning is held back.
                if marker not in rest:
                    take(rest[: -len(marker)])
                    rest = rest[-len(marker) :]
        before, found, code = rest.partition(marker)
        if not found:
            raise ConnectionLost(f"{self.serial} went away during `{_short(command)}`; {AGAIN}")
        take(before)
        return Result(int(code), bytes(stdout), b"")

    def _call(self, what: str, call: Callable[[], T], timeout_s: float) -> T:
        try:
            return call()
        except (TimeoutError, adbutils.AdbTimeout) as error:
            raise ConnectionLost(
                f"{self.serial} did not answer `{_short(what)}` within {timeout_s:g} s; {AGAIN}"
            ) from error
        except (adbutils.AdbError, OSError, EOFError) as error:
            raise ConnectionLost(f"{self.serial} went away during `{_short(what)}`: {error}; {AGAIN}") from error


def _short(command: str) -> str:
    return command if len(command) <= 60 else command[:57] + "..."


def server_port() -> int:
    """The adb server's port: ANDROID_ADB_SERVER_PORT as adb itself reads it, else 5037.

    Raises:
      TargetError: the variable is no port.
    """
    text = os.environ.get(PORT_VARIABLE, str(DEFAULT_PORT))
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise TargetError(f"{PORT_VARIABLE}={text!r} is not a port number")
    return int(text)


def choose(serial: str | None) -> Adb:
    """The device to use.

    Raises:
      TargetError: no adb server and no adb to start one, no device, several, offline, unauthorized.
    """
    port = server_port()
    if not _server_answers(port):
        _start_server(port)
    try:
        answer = ask_server(adbutils.AdbClient(host="127.0.0.1", port=port), "host:devices")
    except (adbutils.AdbError, OSError) as error:
        raise TargetError(f"the adb server on port {port} does not answer: {error}; run `adb start-server`") from error
    return Adb(
        adb_parse.choose_device(adb_parse.parse_devices(answer), serial or os.environ.get("ANDROID_SERIAL") or None)
    )


def ask_server(client: adbutils.AdbClient, service: str) -> str:
    """The adb server's own answer to a request, such as `host:devices`.

    Raises:
      AdbError, OSError: it refuses, or does not answer within `SERVER_TIMEOUT_S`.
    """
    with client.make_connection(timeout=SERVER_TIMEOUT_S) as connection:
        connection.send_command(service)
        connection.check_okay()
        return str(connection.read_string_block())


def _server_answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _start_server(port: int) -> None:
    if shutil.which("adb") is None:
        raise TargetError(
            f"no adb server runs on port {port}, and adb is not on PATH: install adb and run `adb start-server`"
        )
    try:
        run(["adb", "-P", str(port), "start-server"], timeout_s=30)
    except CommandError as error:
        raise TargetError(f"the adb server could not be started: {error}") from error


def quote(word: object) -> str:
    """A word for the device's shell."""
    return shlex.quote(str(word))
