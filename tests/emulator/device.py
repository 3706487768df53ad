"""The emulated adb device: adbd, mksh and toybox in namespaces of their own, under qemu if of arm64, and an adb server.

Writes `<cache>/devices/<name>/`: `ledger` (what was started), `device.json`, `data/` (the device's /data/local/tmp),
adb's keys and logs. It is all gone when the device has been stopped.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from pipeline.errors import CommandError, TargetError
from pipeline.files import new_file
from pipeline.machine.ports import free_port
from pipeline.packing.abi import ARM64
from tests.emulator import binfmt, parts, processes
from tests.emulator.image import DEFAULT_CACHE, SHELL_ID, Image, image
from tests.emulator.parts import EmulatedDevice, Hardware

__all__ = ["EmulatedDevice", "Hardware", "emulated_device", "start", "status", "stop"]

DEFAULT_NAME = "default"


@contextmanager
def emulated_device(
    hardware: Hardware = Hardware(),  # noqa: B008 - frozen
    *,
    beside: EmulatedDevice | None = None,
    cache: Path = DEFAULT_CACHE,
) -> Iterator[EmulatedDevice]:
    """A device for as long as the block runs; `beside` another one it shares that one's adb server.

    Raises:
      TargetError: it needs root, or does not come up.
    """
    name = f"test-{uuid.uuid4().hex[:8]}"
    device = start(name, hardware, beside=beside, cache=cache)
    try:
        yield device
    finally:
        stop(name, cache=cache)
        if beside:
            with suppress(CommandError):
                beside.adb("disconnect", device.serial)


def start(
    name: str = DEFAULT_NAME,
    hardware: Hardware = Hardware(),  # noqa: B008 - frozen
    *,
    beside: EmulatedDevice | None = None,
    cache: Path = DEFAULT_CACHE,
) -> EmulatedDevice:
    """Starts the device `name`, or returns the running one of that name; it runs until `stop`.

    Raises:
      TargetError: it needs root, or does not come up, nothing is left of it then; or other hardware runs by that name.
    """
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        raise TargetError("the emulated device needs Linux and root (chroot, mount, binfmt_misc): run it with sudo")
    present = [device for device in status(cache=cache) if device.name == name]
    if present:
        if present[0].hardware != hardware:
            raise TargetError(f"the emulated device {name} runs, and is another one: `invoke emulator.stop` ends it")
        return present[0]
    stop(name, cache=cache)
    device = EmulatedDevice(
        name=name,
        serial=f"127.0.0.1:{free_port()}",
        adb_server_port=beside.adb_server_port if beside else free_port(),
        folder=_devices(cache) / name,
        image=image(cache, hardware.runs),
        hardware=hardware,
    )
    try:
        _start(device, own_server=beside is None)
    except BaseException:
        stop(name, cache=cache)
        raise
    return device


def stop(name: str = DEFAULT_NAME, *, cache: Path = DEFAULT_CACHE) -> None:
    """Ends all that was started for the device `name` and removes its files; does nothing without such a device."""
    folder = _devices(cache) / name
    for process in reversed(processes.noted(folder / "ledger")):
        processes.end(process)
    parts.end_later_server(folder)
    if folder.exists():
        binfmt.remove(_binfmt_entry(name), _mounted_marker(cache))
        shutil.rmtree(folder)


def status(*, cache: Path = DEFAULT_CACHE) -> list[EmulatedDevice]:
    """The devices that run on this machine."""
    devices = []
    for state in sorted(_devices(cache).glob("*/device.json")):
        if processes.running(state.parent / "ledger", "device"):
            fields = json.loads(state.read_text())
            devices.append(
                EmulatedDevice(
                    name=state.parent.name,
                    serial=fields["serial"],
                    adb_server_port=fields["adb_server_port"],
                    folder=state.parent,
                    image=Image(Path(fields["root"]), Path(fields["host"])),
                    # One that an earlier version started says nothing of it.
                    hardware=Hardware(**fields.get("hardware", {})),
                )
            )
    return devices


def _start(device: EmulatedDevice, *, own_server: bool) -> None:
    device.data.mkdir(parents=True)
    device.data.chmod(0o771)
    os.chown(device.data, SHELL_ID, SHELL_ID)
    if device.hardware.runs == ARM64:
        binfmt.register(_binfmt_entry(device.name), device.image.qemu, _mounted_marker(device.folder.parent.parent))
    if own_server:
        parts.start_server(device)
    parts.boot(device)
    parts.start_relay(device)
    parts.connect(device)
    state = {
        "serial": device.serial,
        "adb_server_port": device.adb_server_port,
        "root": str(device.image.root),
        "host": str(device.image.host),
        "hardware": asdict(device.hardware),
    }
    # Another process may list the devices now.
    with new_file(device.folder / "device.json") as temporary:
        temporary.write_text(json.dumps(state))


def _devices(cache: Path) -> Path:
    return cache / "devices"


def _binfmt_entry(name: str) -> str:
    return f"train-on-device-{name}"


def _mounted_marker(cache: Path) -> Path:
    return cache / "binfmt_misc-mounted"
