"""The adb server: where it is, what it says, and that one that is missing, wedged or ill is a named error in time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import adbutils
import pytest

from pipeline.errors import TargetError
from pipeline.packing.abi import ARM64
from pipeline.targets.adb.adb import Adb, ConnectionLost, Result
from pipeline.targets.adb.choosing import choose
from pipeline.targets.adb.parse import EXIT, HEADER, STDERR, STDOUT, Address, Packets
from pipeline.targets.adb.server import ask
from pipeline.targets.adb.shell import Stdin
from pipeline.targets.device import AdbTarget
from tests.invoking import train_on_device

SERIAL = "192.168.0.7:5555"
Answer = Callable[[socket.socket, str], None]


def okay(connection: socket.socket, text: str | None = None) -> None:
    connection.sendall(b"OKAY" + (b"" if text is None else f"{len(text):04x}{text}".encode()))


def refuse(connection: socket.socket, why: str) -> None:
    connection.sendall(b"FAIL" + f"{len(why):04x}{why}".encode())


class Server:
    """Speaks the host side of adb's protocol: a request is four hexadecimal digits of length and its text."""

    def __init__(self) -> None:
        self.devices = f"{SERIAL}\tdevice\n"
        self.features = "shell_v2,cmd"
        self.reachable = True
        self.requests: list[str] = []
        self.transport: Callable[[socket.socket], None] = okay
        self.shell: Answer = lambda connection, command: connection.sendall(HEADER.pack(EXIT, 1) + b"\x00")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._listen, daemon=True).start()

    def connect(self, serial: str) -> str:
        """Lists the device from now on; says what adb says."""
        if f"{serial}\toffline" in self.devices and serial.startswith("adb-"):
            threading.Timer(0.5, setattr, [self, "devices", f"{serial}\tdevice\n"]).start()
        if f"{serial}\t" in self.devices:
            return f"already connected to {serial}"
        if not self.reachable:
            return f"failed to connect to '{serial}': No route to host"
        self.devices += f"{serial}\tdevice\n"
        return f"connected to {serial}"

    def close(self) -> None:
        """Stops listening."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, ValueError):
            while True:
                request = connection.recv(int(connection.recv(4), 16)).decode()
                self.requests.append(request)
                if request == "host:devices":
                    okay(connection, self.devices)
                elif request.startswith("host:disconnect:"):
                    self.devices = ""
                    okay(connection, "disconnected")
                elif request.endswith(":features"):
                    okay(connection, self.features)
                elif request.startswith("host:connect:"):
                    okay(connection, self.connect(request.removeprefix("host:connect:")))
                elif request.startswith("host:transport:"):
                    self.transport(connection)
                else:
                    okay(connection)
                    self.shell(connection, request)
                    # Closing before everything is read would take back what was sent.
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(1 << 16):
                        pass
                    return


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """A server that the environment names, no adb that could start another, and no emulated device."""

    def carries_none() -> str:
        raise adbutils.AdbError("No adb exe could be found")

    made = Server()
    monkeypatch.setattr(adbutils, "adb_path", carries_none)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    monkeypatch.delenv("ADB_SERVER_SOCKET", raising=False)
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(made.port))
    monkeypatch.setenv("PATH", "/nonexistent")
    yield made
    made.close()


def test_the_listed_device_is_chosen_and_every_request_names_it(server: Server) -> None:
    device = choose(None)
    assert device.execute("true") == Result(0, b"", b"")
    assert server.requests == [
        "host:devices",
        f"host-serial:{SERIAL}:features",
        f"host:transport:{SERIAL}",
        "shell,v2,raw:true",
    ]


@pytest.mark.parametrize("serial", ["other", ""])
def test_the_environment_names_the_serial_where_no_option_does(
    server: Server, monkeypatch: pytest.MonkeyPatch, serial: str
) -> None:
    server.devices += "other\tdevice\n"
    monkeypatch.setenv("ANDROID_SERIAL", serial)
    if serial:
        assert choose(None).serial == "other"
    else:
        with pytest.raises(TargetError, match="several devices"):
            choose(None)
    assert choose(SERIAL).serial == SERIAL


def test_without_server_and_adb_the_error_says_what_to_install(server: Server) -> None:
    server.close()
    message = (
        rf"no adb server runs on port {server.port}, adb is not on PATH, and .*: install .* `invoke emulator.start`"
    )
    with pytest.raises(TargetError, match=message):
        choose(None)


def test_adb_starts_the_server_where_there_is_none(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "adb"
    program.write_text(f'#!/bin/sh\necho "$@" $ANDROID_ADB_SERVER_PORT >{tmp_path}/called\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    listening = iter([False])
    monkeypatch.setattr("pipeline.targets.adb.server.listens", lambda address: next(listening))
    assert choose(None).serial == SERIAL
    assert (tmp_path / "called").read_text() == f"start-server {server.port}\n"
    assert capsys.readouterr().err == f"no adb server was on port {server.port}: {program} started one\n"
    program.write_text("#!/bin/sh\necho no permission >&2; exit 1\n")
    server.close()
    monkeypatch.setattr("pipeline.targets.adb.server.listens", lambda address: False)
    with pytest.raises(TargetError, match=r"the adb server could not be started: [^§]*no permission"):
        choose(None)


def test_a_server_that_has_gone_is_not_started_behind_the_users_back(server: Server, tmp_path: Path) -> None:
    device = choose(None)
    server.close()
    with pytest.raises(ConnectionLost, match=f"{SERIAL} went away during `features`"):
        device.execute("true")


def test_a_server_that_takes_connections_and_says_nothing_is_an_error_in_time() -> None:
    # It would say nothing for ever: nothing but the deadline ends this.
    with (
        socket.create_server(("127.0.0.1", 0)) as wedged,
        pytest.raises(TargetError, match=r"does not answer \(no answer within 0\.2 s\): run `adb kill"),
    ):
        ask(Address("127.0.0.1", wedged.getsockname()[1]), "host:devices", 0.2)


def test_another_program_at_the_servers_port_is_told_with_what_mends_it() -> None:
    def answer() -> None:
        connection, _ = other.accept()
        with connection:
            connection.recv(100)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as other:
        answering = threading.Thread(target=answer)
        answering.start()
        with pytest.raises(TargetError, match=r"does not answer .*HTTP.* set ANDROID_ADB_SERVER_PORT to another port"):
            ask(Address("127.0.0.1", other.getsockname()[1]), "host:devices")
        answering.join()


def test_a_variable_that_holds_no_port_is_one_line_of_every_task_that_asks_a_device() -> None:
    for task in ("devices", "status"):
        run = train_on_device(task, env={"ANDROID_ADB_SERVER_PORT": "adb"})
        assert (run.code, run.stdout) == (8, "")
        assert run.stderr == "error: ANDROID_ADB_SERVER_PORT='adb' is not a port number: give one from 1 to 65535\n"


def test_a_refusal_is_handed_on(server: Server) -> None:
    device = choose(None)
    server.transport = lambda connection: refuse(connection, "device offline")
    with pytest.raises(ConnectionLost, match=rf"{SERIAL} went away during `true` \(device offline\): plug it in"):
        device.execute("true")


def test_a_silent_device_is_named_with_the_call_and_the_deadline(server: Server) -> None:
    server.shell = lambda connection, command: time.sleep(1)
    with pytest.raises(ConnectionLost, match=rf"{SERIAL} did not answer `df -k /data` within 0\.2 s"):
        choose(None).execute("df -k /data", timeout_s=0.2)


def test_what_a_command_reads_is_counted(server: Server) -> None:
    def reads(connection: socket.socket, command: str) -> None:
        packets, size = Packets(), 0
        while size < 100_000:
            size += sum(len(content) for _, content in packets.feed(connection.recv(1 << 16)))
        connection.sendall(HEADER.pack(EXIT, 1) + b"\x00")

    server.shell = reads
    device = choose(None)
    device.execute("cat", stdin=Stdin([bytes(60_000), bytes(40_000)], 100_000))
    assert device.sent_bytes == 100_000


def test_a_device_without_the_protocol_v2_gets_a_marker_line(server: Server) -> None:
    def prints(connection: socket.socket, command: str) -> None:
        marker = command.rpartition("echo ")[2].removesuffix("$?")
        connection.sendall(f"out\n{marker}7\n".encode())

    server.features, server.shell = "cmd,stat_v2", prints
    assert choose(None).execute("false") == Result(7, b"out\n", b"")
    assert server.requests[-1].startswith("exec:")


def test_a_failed_command_says_each_thing_once_and_in_one_line(server: Server) -> None:
    def fails(connection: socket.socket, command: str) -> None:
        for kind, content in ((STDERR, b"tar: full\ntar: full\n"), (STDOUT, b"half\n"), (EXIT, b"\x01")):
            connection.sendall(HEADER.pack(kind, len(content)) + content)

    server.shell = fails
    with pytest.raises(TargetError) as caught:
        choose(None).check("tar -xf -")
    assert str(caught.value) == f"`tar -xf -` on {SERIAL} ended with exit code 1: tar: full; half"


def test_an_answer_without_end_is_given_up_before_it_fills_the_memory(server: Server) -> None:
    def endless(connection: socket.socket, command: str) -> None:
        while True:
            connection.sendall(HEADER.pack(STDOUT, 2**16) + bytes(2**16))

    server.shell = endless
    with pytest.raises(TargetError, match=f"{SERIAL} answers `getprop` with more than 1,048,576 bytes"):
        choose(None).execute("getprop")


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ("8 ../../evil", "nothing was pulled; look at"),
        (f"{2**50} evil", "as it says"),
        ("8 evil", "arrived damaged"),
    ],
)
def test_what_a_device_says_of_its_results_is_not_believed(
    server: Server, tmp_path: Path, listed: str, message: str
) -> None:
    def lies(connection: socket.socket, command: str) -> None:
        content = bytes(9) if "cat " in command else f"{'0' * 64} {listed}\n".encode()
        connection.sendall(HEADER.pack(STDOUT, len(content)) + content + HEADER.pack(EXIT, 1) + b"\x00")

    server.shell = lies
    with pytest.raises(TargetError, match=message):
        AdbTarget(choose(None), ARM64).pull(tmp_path / "runs" / "results")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not (tmp_path / "evil").exists()


def test_a_device_is_back_when_it_answers_a_command_and_not_before(server: Server) -> None:
    calls: list[str] = []

    def broken_at_first(connection: socket.socket, command: str) -> None:
        calls.append(command)
        if len(calls) > 1:
            connection.sendall(HEADER.pack(EXIT, 1) + b"\x00")

    server.shell = broken_at_first
    Adb(SERIAL).reconnect(10)
    assert calls == ["shell,v2,raw:true"] * 2
    assert f"host:connect:{SERIAL}" in server.requests


@pytest.mark.parametrize(
    "serial", ["192.168.0.9:5555", "adb-3XB2-q7Rl3b._adb-tls-connect._tcp", "adb-3XB2-q7Rl3b (2)._adb-tls-connect._tcp"]
)
@pytest.mark.parametrize("state", ["offline", None])
def test_a_device_on_the_network_that_the_server_lost_is_connected_again(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], serial: str, state: str | None
) -> None:
    monkeypatch.setattr("pipeline.targets.adb.server.listens", lambda address: True)
    server.devices = f"{serial}\t{state}\n" if state else ""
    assert choose(serial).serial == serial
    assert f"host:connect:{serial}" in server.requests
    said = capsys.readouterr().err
    assert said.startswith(f"{serial} was {state or 'not connected'}: ")
    assert said.endswith(f"connected to {serial}\n")


def test_one_that_does_not_answer_stays_with_the_server(server: Server) -> None:
    serial = "127.0.0.1:1"
    server.devices = f"{serial}\toffline\n"
    with pytest.raises(TargetError, match=rf"{serial} is offline: plug it in again .* see that it is awake"):
        choose(serial)
    assert server.requests == ["host:devices"]


def test_one_with_a_name_in_mdns_is_waited_for_as_the_server_finds_it_by_itself(server: Server) -> None:
    serial = "adb-3XB2-q7Rl3b._adb-tls-connect._tcp"
    server.reachable = False
    found = threading.Timer(0.5, setattr, [server, "devices", f"{serial}\tdevice\n"])
    found.start()
    assert choose(serial).serial == serial


def test_one_that_is_out_of_reach_is_refused_with_what_the_server_says(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.reachable = False
    with pytest.raises(TargetError, match=rf"adb sees no device '192\.168\.0\.9:5555': it sees {SERIAL}"):
        choose("192.168.0.9:5555")
    assert "was not connected: failed to connect to '192.168.0.9:5555': No route to host" in capsys.readouterr().err


@pytest.mark.parametrize(("serial", "state"), [("R3CN9", "offline"), (SERIAL, "unauthorized"), (SERIAL, "device")])
def test_no_other_is(server: Server, serial: str, state: str) -> None:
    server.devices = f"{serial}\t{state}\n"
    with suppress(TargetError):
        choose(None)
    assert server.requests == ["host:devices"]


def test_a_server_on_another_machine_is_not_started_here(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDROID_ADB_SERVER_HOST", "127.0.0.9")
    server.close()
    with pytest.raises(TargetError, match=rf"no adb server answers on 127\.0\.0\.9:{server.port}: start it there"):
        choose(None)


def test_a_device_that_stays_away_is_an_error_that_says_how_to_go_on(server: Server) -> None:
    device = Adb(SERIAL)
    server.close()
    with pytest.raises(
        ConnectionLost, match=r"did not come back within 0\.3 s: what it runs goes on; .*`invoke attach`"
    ):
        device.reconnect(0.3)
