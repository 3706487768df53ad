"""What arrives from adb: answers of the server, output of tools, packets, listings, files."""

from __future__ import annotations

import hashlib
import socket
import threading
from contextlib import suppress
from pathlib import Path

from hypothesis import strategies as st

from pipeline.errors import PipelineError, TargetError
from pipeline.machine import facts as machine
from pipeline.machine.facts import write_facts
from pipeline.packing.abi import ARM64
from pipeline.targets.adb.adb import MOST_ANSWERED, Adb, Result
from pipeline.targets.adb.facts import parse_facts
from pipeline.targets.adb.lines import Lines
from pipeline.targets.adb.parse import (
    EXIT,
    HEADER,
    STDERR,
    STDOUT,
    Address,
    abi_of,
    choose_device,
    failed_digests,
    free_bytes,
    parse_devices,
    parse_output_files,
)
from pipeline.targets.adb.server import ask
from pipeline.targets.adb.shell import Broken, Clock, OnOutput, Silent, Stdin, run_marked, run_v2
from pipeline.targets.adb.state import parse_state
from pipeline.targets.device import AdbTarget
from tests.fuzz.mutations import damaged, odd_lines
from tests.fuzz.readers import Reader

CONTENT = b"weights\n"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
GOOD_FILES = (f"{DIGEST} 8 lenet_trained_2.safetensors", f"{DIGEST} 8 a b", f"{DIGEST} 8 ümlaut")
MARKER = b"exit-0f:"


def read_devices(folder: Path, text: str) -> None:
    """A list of devices, of which one is chosen."""
    found = parse_devices(text)
    assert all(device.serial and "\n" not in device.serial + device.state for device in found)
    chosen = choose_device(found, found[0].serial if found else None)
    assert chosen in [device.serial for device in found]


def read_tools(folder: Path, text: str) -> None:
    """What df, sha256sum and getprop print."""
    assert all("\n" not in path for path in failed_digests(text))
    for read in (free_bytes, lambda printed: abi_of("serial", printed)):
        with suppress(TargetError):
            read(text)


def read_facts(folder: Path, text: str) -> None:
    """What a device says of itself, as it is noted and read again."""
    facts = parse_facts("serial", text)
    assert "\n" not in facts.model + facts.system + facts.abi + facts.processor
    assert facts.cores is None or 0 < facts.cores < 10_000
    write_facts(folder, facts)
    assert machine.read_facts(folder) == facts


def read_state(folder: Path, text: str) -> None:
    """How a device is and what was left on it."""
    state = parse_state(text)
    assert state.used_bytes >= 0
    assert state.free_bytes is None or state.free_bytes >= 0
    assert all("\n" not in job.package + job.status for job in state.jobs)
    assert all("\n" not in package for package in state.unpulled)


def read_v2(folder: Path, data: bytes) -> None:
    """A stream of packets."""
    near, far = socket.socketpair()
    with near, far:
        far.sendall(data[: 2**15])
        far.shutdown(socket.SHUT_WR)
        code, _ = run_v2(near, Stdin(), bytes, Clock(5))
        assert 0 <= code < 256


def read_marked(folder: Path, data: bytes) -> None:
    """A stream with a marker and an exit code."""
    near, far = socket.socketpair()
    taken = bytearray()
    with near, far:
        far.sendall(data[: 2**15])
        far.shutdown(socket.SHUT_WR)
        assert 0 <= run_marked(near, MARKER, Stdin(), taken.extend, Clock(5)) < 1000
        assert MARKER not in taken


class Pretender(Adb):
    """A device that lists and sends what it likes."""

    def __init__(self, listing: str, content: bytes, code: int) -> None:
        self.serial = "pretender"
        self._listing, self._content, self._code = listing, content, code

    def execute(
        self,
        command: str,
        *,
        stdin: Stdin = Stdin(),  # noqa: B008 - frozen
        on_stdout: OnOutput | None = None,
        timeout_s: float = 60,
        live: bool = False,
        most_bytes: int = MOST_ANSWERED,
    ) -> Result:
        """See `Adb`."""
        if on_stdout is None:
            return Result(0, self._listing.encode(errors="surrogatepass"), b"")
        for start in range(0, len(self._content), 3):
            on_stdout(self._content[start : start + 3])
        return Result(self._code, b"", b"")


def read_results(folder: Path, case: tuple[str, bytes, int]) -> None:
    """A pull."""
    pulled = AdbTarget(Pretender(*case), ARM64).pull(folder / "results")
    for path in pulled:
        assert path.parent == folder / "results"
        assert path.read_bytes() == CONTENT


def read_lines(folder: Path, chunks: list[bytes]) -> None:
    """What a job prints."""
    said: list[str] = []
    lines = Lines(said.append)
    for chunk in chunks:
        lines.take(chunk)
    lines.flush()
    assert lines.taken == sum(map(len, chunks))
    assert all(part.isprintable() for line in said for part in line.split("\t"))


class Server:
    """An adb server that answers every request with the same bytes."""

    def __init__(self) -> None:
        self.answer = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = Address("127.0.0.1", int(self._listener.getsockname()[1]))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection, suppress(OSError):
                connection.recv(1 << 16)
                connection.sendall(self.answer)


SERVER: list[Server] = []


def read_server(folder: Path, answer: bytes) -> None:
    """The answer to `host:devices`."""
    if not SERVER:
        SERVER.append(Server())
    SERVER[0].answer = answer
    read_devices(folder, ask(SERVER[0].address, "host:devices", 5))


def packet(kind: int, content: bytes) -> bytes:
    """One packet of the shell protocol."""
    return HEADER.pack(kind, len(content)) + content


STREAM = packet(STDOUT, b"out\n") + packet(STDERR, b"warning\n") + packet(STDOUT, b"") + packet(EXIT, b"\x07")
DEVICES = "R58M123ABC\tdevice\nadb-R5 (2)._adb-tls-connect._tcp\toffline\n"
DEVICE_LINES = ("R58M123ABC\tdevice", "192.168.1.7:5555\toffline", "adb-R5 (2)._adb-tls-connect._tcp\tdevice")
TOOL_LINES = (
    *("/dev/block/dm-5 111616860 66846616  44639172  60% /data", "model/model.json: FAILED", "arm64-v8a"),
    *("sha256sum: train.sh: No such file or directory", "a: Permission denied"),
)
FACT_LINES = (
    *(
        "manufacturer: Google",
        "model: Pixel 7",
        "android: 14",
        "sdk: 34",
        "abi: arm64-v8a",
        "possible: 0-7",
        "cores: 8",
    ),
    *("MemTotal: 7734104 kB", 'system: PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"', "board: Raspberry Pi 4\0"),
)
STATE_LINES = (
    *("disk: /dev/block/dm-5 112934544 60211200 52723344 54% /data", "used: 73120\ttrain-on-device", "lacks: flock"),
    *("job: train-on-device/package-arm64 running train.sh", "unpulled: train-on-device/package-arm64"),
    *("Current Battery Service state:", "  level: 84", "  scale: 100", "  temperature: 326", "  present: true"),
)
WORDS = ("device", "R58", "no permissions (udev)", "OK", "FAILED", "sha256sum", "²", "9" * 5000, DIGEST, "8")

READERS = (
    Reader("adb: devices", odd_lines(DEVICE_LINES, WORDS, ("\t", " ")), read_devices, (TargetError,)),
    Reader("adb: tools", odd_lines(TOOL_LINES, WORDS, (": ", " ")), read_tools, ()),
    Reader("adb: facts", odd_lines(FACT_LINES, WORDS, (": ", "-")), read_facts, ()),
    Reader("adb: state", odd_lines(STATE_LINES, WORDS, (": ", "\t", " ")), read_state, ()),
    Reader(
        "adb: listing",
        odd_lines(GOOD_FILES, WORDS, (" ", "  ", "\t")),
        lambda folder, text: parse_output_files(text),
        (TargetError,),
    ),
    Reader("adb: packets", damaged(STREAM), read_v2, (Broken, Silent)),
    Reader("adb: marker", damaged(b"out\n" + MARKER + b"42\n"), read_marked, (Broken, Silent)),
    Reader(
        "adb: pull",
        st.tuples(
            odd_lines(GOOD_FILES, WORDS, (" ",)),
            st.one_of(st.just(CONTENT), damaged(CONTENT)),
            st.sampled_from((0, 0, 0, 1)),
        ),
        read_results,
        (PipelineError,),
    ),
    Reader("adb: job", st.lists(st.binary(max_size=200), max_size=5), read_lines, ()),
    Reader("adb: server", damaged(b"OKAY" + f"{len(DEVICES):04x}{DEVICES}".encode()), read_server, (TargetError,), 0.1),
)
