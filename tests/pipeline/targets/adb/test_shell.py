"""A command's output and exit code come through a socket whole, in time, or as an error."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from pipeline.targets.adb.parse import CLOSE_STDIN, EXIT, HEADER, STDERR, STDIN, STDOUT, Packets
from pipeline.targets.adb.shell import Broken, Clock, Silent, Stdin, marked, run_marked, run_v2

Peer = Callable[[socket.socket], None]
MARKER = "exit-0f:"


def packet(kind: int, content: bytes) -> bytes:
    return HEADER.pack(kind, len(content)) + content


@pytest.fixture
def connected() -> Iterator[Callable[[Peer], socket.socket]]:
    """Starts the other side of a connection in a thread."""
    near, far = socket.socketpair()
    threads: list[threading.Thread] = []

    def start(peer: Peer) -> socket.socket:
        def serve() -> None:
            with far, suppress(BrokenPipeError):
                peer(far)

        threads.append(threading.Thread(target=serve, daemon=True))
        threads[0].start()
        return near

    yield start
    near.close()
    for thread in threads:
        thread.join(timeout=10)
        assert not thread.is_alive()


Connected = Callable[[Peer], socket.socket]


def test_stdout_stderr_and_the_exit_code_come_apart(connected: Connected) -> None:
    def peer(far: socket.socket) -> None:
        far.sendall(
            packet(STDOUT, b"one") + packet(STDERR, b"warning") + packet(STDOUT, b" two") + packet(EXIT, b"\x07")
        )

    out = bytearray()
    assert run_v2(connected(peer), Stdin(), out.extend, Clock(5)) == (7, b"warning")
    assert bytes(out) == b"one two"


def test_what_the_command_reads_arrives_and_ends(connected: Connected) -> None:
    received: list[tuple[int, bytes]] = []

    def peer(far: socket.socket) -> None:
        packets = Packets()
        while not received or received[-1][0] != CLOSE_STDIN:
            received.extend(packets.feed(far.recv(100)))
        far.sendall(packet(EXIT, b"\x00"))

    assert run_v2(connected(peer), Stdin([b"a" * 300, b"b"], 301), bytes, Clock(5)) == (0, b"")
    assert received == [(STDIN, b"a" * 300), (STDIN, b"b"), (CLOSE_STDIN, b"")]


def test_a_command_that_fails_before_it_has_read_everything_is_heard(connected: Connected) -> None:
    def peer(far: socket.socket) -> None:
        far.recv(10)
        far.sendall(packet(STDERR, b"disk full") + packet(EXIT, b"\x01"))

    endless = Stdin(iter(lambda: bytes(1 << 16), None), 1 << 40)
    assert run_v2(connected(peer), endless, bytes, Clock(5)) == (1, b"disk full")


def test_a_connection_that_ends_before_the_command_is_broken(connected: Connected) -> None:
    def peer(far: socket.socket) -> None:
        far.sendall(packet(STDOUT, b"half") + HEADER.pack(STDOUT, 10) + b"of it")

    out = bytearray()
    with pytest.raises(Broken):
        run_v2(connected(peer), Stdin(), out.extend, Clock(5))
    assert bytes(out) == b"half"


def test_a_silent_device_is_given_up_after_the_deadline(connected: Connected) -> None:
    def listen(far: socket.socket) -> None:
        while far.recv(4096):
            pass

    # It would listen for ever: nothing but the deadline ends this.
    with pytest.raises(Silent) as caught:
        run_v2(connected(listen), Stdin(), bytes, Clock(0.2))
    assert caught.value.timeout_s == 0.2


@pytest.mark.parametrize("live", [True, False])
def test_a_trickle_is_enough_only_for_a_live_call(connected: Connected, live: bool) -> None:
    def peer(far: socket.socket) -> None:
        for _ in range(5):
            time.sleep(0.1)
            far.sendall(packet(STDERR, b"."))
        far.sendall(packet(EXIT, b"\x00"))

    near = connected(peer)
    if live:
        assert run_v2(near, Stdin(), bytes, Clock(0.3, live=True)) == (0, b".....")
    else:
        with pytest.raises(Silent):
            run_v2(near, Stdin(), bytes, Clock(0.3))


def test_a_failure_of_the_one_who_takes_the_output_is_not_the_connections(connected: Connected) -> None:
    def full(data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        run_v2(connected(lambda far: far.sendall(packet(STDOUT, b"x"))), Stdin(), full, Clock(5))


@pytest.mark.parametrize("step", [1, 4, 100])
def test_a_marker_in_pieces_is_found_and_not_shown(connected: Connected, step: int) -> None:
    stream = b"exit-0 is not it\nlast" + MARKER.encode() + b"42\n"

    def peer(far: socket.socket) -> None:
        for start in range(0, len(stream), step):
            far.sendall(stream[start : start + step])
            time.sleep(0.001)

    out = bytearray()
    assert run_marked(connected(peer), MARKER.encode(), Stdin(), out.extend, Clock(5)) == 42
    assert bytes(out) == b"exit-0 is not it\nlast"


@pytest.mark.parametrize(
    "stream",
    [HEADER.pack(STDOUT, 2**32 - 1), packet(EXIT, b""), packet(EXIT, b"1\n")],
    ids=["giant packet", "exit without code", "exit with two bytes"],
)
def test_what_is_not_the_protocol_is_a_broken_connection(connected: Connected, stream: bytes) -> None:
    with pytest.raises(Broken):
        run_v2(connected(lambda far: far.sendall(stream)), Stdin(), bytes, Clock(5))


@pytest.mark.parametrize("piece", [packet(STDERR, bytes(2**16)), packet(STDOUT, b"") * 2**13, packet(9, bytes(2**16))])
def test_one_who_says_no_end_of_things_beside_the_output_is_given_up(connected: Connected, piece: bytes) -> None:
    def endless(far: socket.socket) -> None:
        with suppress(OSError):
            while True:
                far.sendall(piece)

    near = connected(endless)
    with pytest.raises(Broken, match="said more than 16,777,216 bytes beside its output"):
        run_v2(near, Stdin(), bytes, Clock(60, live=True))


@pytest.mark.parametrize("code", [b"x\n", b"-1\n", b" 1\n", b"1_0\n", b"\n", b"99999\n", b"9" * 2**20])
def test_an_exit_code_that_is_none_is_a_broken_connection(connected: Connected, code: bytes) -> None:
    def peer(far: socket.socket) -> None:
        with suppress(OSError):
            far.sendall(b"out " + MARKER.encode() + code)

    with pytest.raises(Broken):
        run_marked(connected(peer), MARKER.encode(), Stdin(), bytes, Clock(5))


@pytest.mark.parametrize("stream", [b"", b"half a line", b"out exit-0f:", b"out exit-0f:4"])
def test_output_without_a_whole_marker_line_is_a_broken_connection(connected: Connected, stream: bytes) -> None:
    with pytest.raises(Broken):
        run_marked(connected(lambda far: far.sendall(stream)), MARKER.encode(), Stdin(), bytes, Clock(5))


@pytest.mark.parametrize(
    ("command", "given", "printed"),
    [
        ("echo out; echo err >&2; exit 7", b"", b"out\nerr\nexit-0f:7\n"),
        ("cat; exit 3", b"it's $HOME\n", b"it's $HOME\nexit-0f:3\n"),
        ("echo \"it's\" '$x'", b"", b"it's $x\nexit-0f:0\n"),
    ],
)
def test_a_marked_command_prints_its_exit_code_and_ends_though_its_input_stays_open(
    command: str, given: bytes, printed: bytes
) -> None:
    line = marked(command, MARKER, Stdin([given], len(given)))
    with subprocess.Popen(["sh", "-c", line], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
        assert shell.stdin and shell.stdout
        shell.stdin.write(given)
        shell.stdin.flush()
        assert shell.stdout.read() == printed
