"""What can go wrong with a device, done to the emulated one.

What a device is made with is no matter of these functions: a full disk, a disk without programs and a foreign ABI are
`disk_bytes`, `executable` and `abi` of `Hardware`.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import CommandError, TargetError
from pipeline.machine.ports import free_port
from tests.emulator import processes
from tests.emulator.parts import HOST_PATH, EmulatedDevice, boot, connect, listens, start_relay, wait_until

HERE = Path(__file__).parent


@contextmanager
def unplugged(device: EmulatedDevice) -> Iterator[None]:
    """Cuts the connection to adbd while the block runs; the server lists the device as offline and tries to reconnect.

    What runs on the device goes on. After the block the server has the device again.
    """
    processes.end(_process(device, "relay"))
    try:
        wait_until(device, lambda: state(device) == "offline")
        yield
    finally:
        start_relay(device)
        connect(device)


@contextmanager
def gone(device: EmulatedDevice) -> Iterator[None]:
    """As `unplugged`, but the server knows nothing of the device any more, as with one whose USB cable was pulled."""
    with unplugged(device):
        device.adb("disconnect", device.serial)
        yield


@contextmanager
def frozen(device: EmulatedDevice) -> Iterator[None]:
    """Lets the connection stand while the block runs, but nothing come through: no call is answered."""
    relay = _process(device, "relay")
    processes.send(relay, signal.SIGSTOP)
    try:
        yield
    finally:
        processes.send(relay, signal.SIGCONT)


@contextmanager
def unauthorized(beside: EmulatedDevice) -> Iterator[str]:
    """A further device at the server of `beside` that does not accept the server's key; yields its serial.

    Debian's adbd asks for no key, so this one only speaks adbd's side of the handshake.
    """
    port = free_port()
    serial = f"127.0.0.1:{port}"
    stand_in = processes.start(
        "stand-in",
        [sys.executable, HERE / "unauthorized.py", str(port)],
        ledger=beside.ledger,
        log=beside.folder / "unauthorized.log",
        env={"PATH": HOST_PATH},
    )
    try:

        def asks_for_a_key() -> bool:
            with contextlib.suppress(CommandError):
                beside.adb("connect", serial)
            return state(beside, serial) == "unauthorized"

        wait_until(beside, asks_for_a_key)
        yield serial
    finally:
        processes.end(stand_in)
        with contextlib.suppress(CommandError):
            beside.adb("disconnect", serial)


def restart_adbd(device: EmulatedDevice) -> None:
    """Kills adbd, as Android's init does on `adb root`, and waits for the next one; what it had started lives on."""
    init = _process(device, "device")
    for pid in processes.children(init.pid):
        if b"/adbd" in Path(f"/proc/{pid}/cmdline").read_bytes():
            processes.end(processes.note("adbd", pid, device.ledger))
    connect(device)


def reboot(device: EmulatedDevice) -> None:
    """Kills everything that runs on the device at once and boots it again; its files and its serial stay.

    A device with `disk_bytes` comes back with an empty disk, which is memory.
    """
    for process in [_process(device, role) for role in ("relay", "device", "keeper")]:
        processes.end(process)
        processes.forget(process, device.ledger)
    boot(device)
    start_relay(device)
    connect(device)


def kill_server(device: EmulatedDevice) -> None:
    """Kills the adb server that the device is connected to, also one that the pipeline started in its place.

    `parts.start_server` and `connect` bring it back.
    """
    server = processes.running(device.ledger, "server") or _later_server(device)
    processes.end(server)
    processes.forget(server, device.ledger)
    deadline = time.monotonic() + 10
    # Its last thread closes its port.
    while listens(device.adb_server_port) and time.monotonic() < deadline:
        time.sleep(0.02)


def _later_server(device: EmulatedDevice) -> processes.Background:
    words = f"-L\0tcp:{device.adb_server_port}\0fork-server".encode()
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if words in cmdline.read_bytes():
                return processes.note("server", int(cmdline.parent.name), device.ledger)
    raise TargetError(f"no adb server of the emulated device {device.name} runs")


def state(device: EmulatedDevice, serial: str | None = None) -> str:
    """What the device's server lists `serial` (its own when None) as: `device`, `offline`, ...; empty if not listed."""
    lines = (line.split() for line in device.adb("devices").splitlines()[1:] if line.strip())
    return next((words[1] for words in lines if words[0] == (serial or device.serial)), "")


def _process(device: EmulatedDevice, role: str) -> processes.Background:
    process = processes.running(device.ledger, role)
    if process is None:
        raise TargetError(f"the {role} of the emulated device {device.name} does not run: see {device.folder}")
    return process
