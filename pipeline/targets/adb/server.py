"""The adb server: requests to it, and starting one where none answers. The one place that knows adbutils."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from pipeline.commands import run
from pipeline.errors import CommandError, TargetError
from pipeline.machine import ports
from pipeline.progress import note
from pipeline.targets.adb.parse import PORT_VARIABLE, SOCKET_VARIABLE, Address, Listed, no_port, parse_devices
from pipeline.targets.adb.shell import Broken, Silent

try:
    import adbutils
except ValueError as error:
    # It makes a client as it is imported, for the port that the environment names.
    raise TargetError(no_port(os.environ.get(PORT_VARIABLE))) from error

ASK_TIMEOUT_S = 10.0
START_TIMEOUT_S = 30.0
HERE = ("127.0.0.1", "localhost", "::1")


class _Connection(adbutils.AdbConnection):  # type: ignore[misc]
    """adbutils' connection, but for its habit to start a server wherever none answers, in every call and unsaid."""

    def _safe_connect(self) -> socket.socket:
        connected: socket.socket = self._create_socket()
        return connected


@contextmanager
def request(server: Address, services: Sequence[str], timeout_s: float) -> Iterator[adbutils.AdbConnection]:
    """A connection on which the server has granted each of `services`, for as long as the block runs.

    Raises:
      Silent, Broken: it has not.
    """
    with _translated(timeout_s):
        connection = _Connection(server.host, server.port)
    with connection:
        with _translated(timeout_s):
            connection.conn.settimeout(timeout_s)
            for service in services:
                connection.send_command(service)
                connection.check_okay()
        yield connection


def block(connection: adbutils.AdbConnection, timeout_s: float) -> str:
    """The text that the server sends with its length before it.

    Raises:
      Silent, Broken: it does not come through.
    """
    with _translated(timeout_s):
        return str(connection.read_string_block())


def agreed(connection: adbutils.AdbConnection, timeout_s: float) -> None:
    """Reads that a service, which was granted, did what was asked of it.

    Raises:
      Silent, Broken: it did not.
    """
    with _translated(timeout_s):
        connection.check_okay()


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
        with request(server, [service], timeout_s) as connection:
            return block(connection, timeout_s)
    except (Silent, Broken) as error:
        raise TargetError(
            f"the adb server on port {server.port} does not answer ({error}): run `adb kill-server`, then "
            f"`adb start-server`; where another program listens there, set {PORT_VARIABLE} to another port"
        ) from error


def version(server: Address) -> str:
    """The version of the server's protocol with its clients, as `adb version` writes it.

    Raises:
      TargetError: it does not answer, or is something else.
    """
    said = ask(server, "host:version")
    try:
        return f"1.0.{int(said, 16)}"
    except ValueError:
        raise TargetError(f"what listens on port {server.port} is no adb server: set {PORT_VARIABLE}") from None


def devices(server: Address) -> list[Listed]:
    """The devices that the server lists.

    Raises:
      TargetError: it does not answer.
    """
    return parse_devices(ask(server, "host:devices"))


def connect(server: Address, serial: str, timeout_s: float = ASK_TIMEOUT_S) -> str:
    """Asks for a device on the network; returns what the server says of it.

    By its address, or by its name in mDNS: the server looks that up, for its port is another each time.

    Raises:
      TargetError: the server does not answer in time.
    """
    return ask(server, f"host:connect:{serial}", timeout_s)


def disconnect(server: Address, serial: str) -> None:
    """Lets the server forget a device on the network, as far as it knows it."""
    with suppress(TargetError):
        ask(server, f"host:disconnect:{serial}")


def listens(address: Address) -> bool:
    """Whether anything does there."""
    return ports.listens(address.host, address.port)


def ensure(server: Address) -> None:
    """Starts a server where none listens, by the adb on PATH or else the one that adbutils carries, and says so.

    Where one listens no adb is called: one of another version would kill it.

    Raises:
      TargetError: there is no adb, it fails, or the server would be on another machine.
    """
    if listens(server):
        return
    if server.host not in HERE:
        raise TargetError(f"no adb server answers on {server.host}:{server.port}: start it there")
    program = program_for(server)
    # Where a variable names the whole address, adb reads that one first, and an empty one is none to it.
    environment = {name: value for name, value in os.environ.items() if value or name != SOCKET_VARIABLE}
    environment[PORT_VARIABLE] = str(server.port)
    try:
        run([program, "start-server"], timeout_s=START_TIMEOUT_S, env=environment)
    except CommandError as error:
        raise TargetError(f"the adb server could not be started: {error}") from error
    # When it is done: who waits for a device tries again and again.
    note(f"no adb server was on port {server.port}: {program} started one")


def program_for(server: Address) -> str:
    """The adb on PATH, or that in adbutils' wheels for x86-64 Linux, macOS and Windows; built from source it has none.

    Raises:
      TargetError: there is no adb.
    """
    if found := shutil.which("adb"):
        return found
    try:
        return str(adbutils.adb_path())
    except adbutils.AdbError as error:
        raise TargetError(
            f"no adb server runs on port {server.port}, adb is not on PATH, and adbutils carries none for this "
            "machine: install adb and run `adb start-server`, or `invoke emulator.start`, which brings its own"
        ) from error


def wait_for(server: Address, serial: str, timeout_s: float) -> None:
    """Waits until the server lists a device as another than offline, but no longer than `timeout_s`."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if any(device.serial == serial and device.state != "offline" for device in devices(server)):
            return
        time.sleep(0.2)
