"""Which device is meant, where nobody or a serial names it, and that it is reached."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pipeline.errors import TargetError
from pipeline.progress import note
from pipeline.targets.adb import server
from pipeline.targets.adb.adb import Adb
from pipeline.targets.adb.emulated import Emulated, running
from pipeline.targets.adb.parse import (
    PORT_VARIABLE,
    Address,
    Listed,
    address_of,
    choose_device,
    is_on_network,
    names_server,
    server_address,
)

# A device that was connected again is offline until both sides have agreed; one that is known by its name in mDNS the
# server looks for by itself, every 10 s.
SETTLE_S = 12.0


def choose(serial: str | None) -> Adb:
    """The device to use: the one named, else the only one of the adb server, else an emulated one.

    Raises:
      TargetError: no adb server and no adb to start one, no device, several, offline, unauthorized.
    """
    wanted = serial or os.environ.get("ANDROID_SERIAL") or None
    address, named = server_address(os.environ), names_server(os.environ)
    all_emulated = running()
    emulated = [device for device in all_emulated if wanted in (None, device.serial)]
    try:
        listed = _reached(address, None if emulated else wanted)
    except TargetError:
        # An emulated device has a server of its own.
        if named or not emulated:
            raise
        listed = []
    if emulated and not any(wanted in (None, device.serial) for device in listed):
        there = [device for device in emulated if not named or device.server == address]
        if there:
            return _emulated(there, wanted)
    if all_emulated and not listed:
        raise TargetError(
            f"adb sees no device{f' {wanted!r}' if wanted else ''} on port {address.port}: for the emulated one, which "
            f"runs, give --serial {all_emulated[0].serial} and leave {PORT_VARIABLE} unset"
        )
    return Adb(choose_device(listed, wanted), address)


def every_serial() -> list[str]:
    """The serials of all devices that can be used: those of the adb server, and the emulated ones.

    Raises:
      TargetError: there is no adb server, and no adb to start one.
    """
    address = server_address(os.environ)
    emulated = [device.serial for device in running()]
    try:
        server.ensure(address)
        listed = [device.serial for device in server.devices(address) if device.state == "device"]
    except TargetError:
        if not emulated:
            raise
        listed = []
    return list(dict.fromkeys([*listed, *emulated]))


def _emulated(devices: Sequence[Emulated], wanted: str | None) -> Adb:
    if len(devices) > 1:
        serials = ", ".join(device.serial for device in devices)
        raise TargetError(f"several emulated devices run: choose one with --serial: {serials}")
    [device] = devices
    if wanted is None:
        note(f"adb sees no device but the emulated {device.serial}: it is used")
    return Adb(choose_device(_reached(device.server, device.serial), device.serial), device.server)


def _reached(address: Address, wanted: str | None) -> list[Listed]:
    """What the server lists, after it was asked for a device on the network that it lost."""
    server.ensure(address)
    listed = server.devices(address)
    states = {device.serial: device.state for device in listed}
    serial = wanted or (listed[0].serial if len(listed) == 1 else "")
    if not is_on_network(serial) or states.get(serial, "offline") != "offline":
        return listed
    if serial in states and ":" in serial:
        # Of one that is offline the server would say "already connected". One that does not answer it is not to forget.
        if not server.listens(address_of(serial)):
            return listed
        server.disconnect(address, serial)
    try:
        answer = server.connect(address, serial)
    except TargetError:
        answer = "no answer"
    note(f"{serial} was {states.get(serial, 'not connected')}: {answer.strip()}")
    if "connected to" in answer or ":" not in serial:
        server.wait_for(address, serial, SETTLE_S)
    return server.devices(address)
