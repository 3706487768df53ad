"""What adb and a device's tools print, as records: pure functions, tested with recorded text."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from device_runtime.formats.paths import check_name
from pipeline.errors import TargetError, in_line
from pipeline.packing.abi import ABIS, Abi

STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = 0, 1, 2, 3, 4
HEADER = struct.Struct("<BI")
# adbd sends at most 1 MiB in one.
MOST_IN_PACKET = 2**24

SOCKET_VARIABLE = "ADB_SERVER_SOCKET"
HOST_VARIABLE = "ANDROID_ADB_SERVER_HOST"
PORT_VARIABLE = "ANDROID_ADB_SERVER_PORT"
DEFAULT_ADDRESS = ("127.0.0.1", "5037")

# No disk has more bytes.
_NUMBER = re.compile("[0-9]{1,18}")
_PORT = re.compile("[0-9]{1,5}")
_DIGEST = re.compile("[0-9a-f]{64}")
_FAILED = re.compile("FAILED|No such file|Permission denied")

NO_DEVICE = (
    "adb sees no device: connect one with USB debugging on, or run `adb connect HOST:PORT`; "
    "`invoke emulator.start` in a checkout starts one that is emulated"
)

# Characters of what a device says, in an error.
_SHOWN = 80


@dataclass(frozen=True)
class Address:
    """Where an adb server listens."""

    host: str
    port: int


@dataclass(frozen=True)
class OutputFile:
    """A file that a run wrote on the device, as it was when it was listed: its first `size_bytes` have that digest."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Listed:
    """A device as the adb server lists it."""

    serial: str
    state: str


def names_server(environment: Mapping[str, str]) -> bool:
    """Whether the user said where the adb server is."""
    return any(environment.get(name) for name in (SOCKET_VARIABLE, HOST_VARIABLE, PORT_VARIABLE))


def is_on_network(serial: str) -> bool:
    """Whether a serial is an address (`IP:PORT`) or a name in mDNS (`adb-XXXX._adb-tls-connect._tcp`)."""
    return ":" in serial or re.search(r"\._adb(-tls-connect)?\._tcp\.?$", serial) is not None


def address_of(serial: str) -> Address:
    """The address that is the serial of a device on the network; port 0, where nothing listens, if it is none."""
    host, _, port = serial.rpartition(":")
    return Address(host.strip("[]"), _number_of(port))


def no_port(text: str | None) -> str:
    """What is said of a variable that holds no port."""
    return f"{PORT_VARIABLE}={text!r} is not a port number: give one from 1 to 65535"


def _number_of(port: str) -> int:
    """A port; 0, where nothing listens, for what is none."""
    number = int(port) if _PORT.fullmatch(port) else 0
    return number if number < 2**16 else 0


def server_address(environment: Mapping[str, str]) -> Address:
    """Where the adb server is, from the variables that adb and adbutils read.

    Raises:
      TargetError: one of them holds no address.
    """
    host, port = environment.get(HOST_VARIABLE) or DEFAULT_ADDRESS[0], environment.get(PORT_VARIABLE)
    described = no_port(port)
    if text := environment.get(SOCKET_VARIABLE):
        kind, _, rest = text.partition(":")
        named, _, port = rest.rpartition(":")
        host = named or DEFAULT_ADDRESS[0]
        described = f"{SOCKET_VARIABLE}={text!r} is not of the form tcp:HOST:PORT"
        port = port if kind == "tcp" else "none"
    number = _number_of(port or DEFAULT_ADDRESS[1])
    if not number:
        raise TargetError(described)
    return Address(host, number)


def parse_devices(text: str) -> list[Listed]:
    """Reads the answer of `host:devices`: a serial, in which may be spaces, a tab and a state on each line."""
    lines = (line.partition("\t") for line in text.replace("\r", "").split("\n"))
    return [Listed(serial, state.strip()) for serial, _, state in lines if serial and state.strip()]


def choose_device(devices: list[Listed], serial: str | None) -> str:
    """The serial to use.

    Raises:
      TargetError: none, several and no serial, or the one is not ready; the message says what to do.
    """
    listed = ", ".join(f"{device.serial} ({device.state})" for device in devices)
    if not devices:
        raise TargetError(NO_DEVICE)
    if serial is None and len(devices) > 1:
        raise TargetError(f"adb sees several devices: choose one with --serial: {listed}")
    chosen = devices[0] if serial is None else next((d for d in devices if d.serial == serial), None)
    if chosen is None:
        raise TargetError(f"adb sees no device {serial!r}: it sees {listed}")
    if advice := not_ready(chosen):
        raise TargetError(advice)
    return chosen.serial


def not_ready(device: Listed) -> str:
    """Why commands cannot run on a device, and what to do; empty where they can."""
    serial, state = device.serial, device.state
    if state == "device":
        return ""
    if state == "unauthorized":
        return f"{serial} is unauthorized: confirm the key of this computer on the device's screen"
    if state.startswith("no permissions"):
        return f"{serial} may not be opened by this user ({state}): add a udev rule for it"
    return f"{serial} is {state}: plug it in again or run `adb reconnect`, and see that it is awake"


def abi_of(serial: str, text: str, wanted: Abi | None = None) -> Abi:
    """The ABI of a device, of what it says it executes, separated by commas, the preferred one first.

    It is the first of 64 bits: an emulator of x86-64 also says arm64, whose apps it translates, but no such programs.

    Raises:
      TargetError: there is no package for it, or it is not the wanted one.
    """
    words = [word for word in text.strip().split(",") if word]
    named = f"{serial} is {words[0][:_SHOWN] if words else 'of no known ABI'}, not"
    abi = next((abi for word in words for abi in ABIS if word in (abi.android, abi.machine, abi.debian)), None)
    if abi is None:
        raise TargetError(f"{named} {' or '.join(abi.android for abi in ABIS)}: no package runs there")
    if wanted is not None and abi != wanted:
        raise TargetError(f"{named} {wanted.android}: give {abi.options(serial)}")
    return abi


def free_bytes(df: str) -> int:
    """Bytes available, from `df -k FOLDER`: the fourth column of the last line, in KiB.

    Raises:
      TargetError: it is not the output of df.
    """
    words = df.replace("\r", "").strip().split("\n")[-1].split()
    numbers = [word for word in words if _NUMBER.fullmatch(word)]
    if len(numbers) < 3:
        raise TargetError(f"df on the device printed {df.strip()[:_SHOWN]!r}: its free space is unknown")
    return int(numbers[2]) * 1024


def failed_digests(output: str) -> list[str]:
    """Paths that `sha256sum -c` did not find or found to differ."""
    lines = (line.removeprefix("sha256sum: ").rpartition(": ") for line in output.split("\n"))
    return [path for path, _, what in lines if path and _FAILED.match(what)]


def parse_output_files(text: str) -> list[OutputFile]:
    """Reads lines of SHA-256, size in bytes and name.

    Raises:
      TargetError: a line is something else, or the name is no plain name of a file: it would lead out of the folder.
    """
    files: dict[str, OutputFile] = {}
    for line in text.split("\n")[:-1]:
        digest, _, rest = line.partition(" ")
        size, _, name = rest.partition(" ")
        try:
            check_name(name)
            if not _DIGEST.fullmatch(digest) or not _NUMBER.fullmatch(size) or name in files:
                raise ValueError("no digest, no size, or a name that is there twice")
        except ValueError as error:
            raise TargetError(
                f"the device lists '{in_line(line[-_SHOWN:])}' among its results ({error}): nothing was pulled; "
                "look at its output folder"
            ) from error
        files[name] = OutputFile(name, int(size), digest)
    return list(files.values())


class Packets:
    """Takes bytes of the shell protocol v2 as they come and hands out whole packets: one byte id, four bytes length."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The packets that `data` completes, as (id, content).

        Raises:
          ValueError: one says that it is longer than any is.
        """
        self._rest += data
        packets: list[tuple[int, bytes]] = []
        start = 0
        while len(self._rest) >= start + HEADER.size:
            kind, length = HEADER.unpack_from(self._rest, start)
            if length > MOST_IN_PACKET:
                raise ValueError(f"a packet of {length:,} bytes")
            end = start + HEADER.size + length
            if len(self._rest) < end:
                break
            packets.append((kind, bytes(self._rest[start + HEADER.size : end])))
            start = end
        del self._rest[:start]
        return packets
