"""`invoke devices`: a row for each device that adb knows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from pipeline.doctor.asking import Device, ask_devices, emulated_servers, own_server
from pipeline.doctor.table import print_table
from pipeline.errors import TargetError, in_line
from pipeline.progress import note
from pipeline.settings import Settings
from pipeline.targets.adb import server
from pipeline.targets.adb.parse import NO_DEVICE, Address

HEADINGS = ("serial", "model", "system", "ABI", "cores", "memory", "free", "battery", "runs")


def print_devices(settings: Settings) -> None:
    """Prints the table; below it, of each device that cannot be asked, what to do.

    Raises:
      TargetError: the adb server does not answer, or none runs and there is no adb to start one.
    """
    found = [device for device in ask_devices(_servers()) if settings.serial in (None, device.serial)]
    if settings.json:
        print(json.dumps([asdict(device) for device in found], indent=1))
        return
    if not found:
        note(NO_DEVICE if settings.serial is None else f"adb sees no device {settings.serial!r}: `invoke devices`")
        return
    print_table(HEADINGS, [row(device) for device in found])
    for device in found:
        if device.trouble:
            note(device.trouble)


def _servers() -> Sequence[Address]:
    emulated = emulated_servers()
    try:
        server.ensure(own_server())
    except TargetError:
        # An emulated device has a server of its own.
        if not emulated:
            raise
        return emulated
    return [own_server(), *emulated]


def row(device: Device) -> tuple[str, ...]:
    """A device's cells; what it does not tell stays empty."""
    facts, now = device.facts, device.now
    serial = in_line(device.serial)
    if facts is None or now is None:
        return (serial, in_line(device.state) if device.state != "device" else "no answer", *[""] * (len(HEADINGS) - 2))
    return (
        serial,
        facts.model,
        facts.system,
        facts.abi,
        str(facts.cores or ""),
        size(facts.memory_bytes),
        size(now.free_bytes),
        battery(device),
        ", ".join(job.status.removeprefix("running ") for job in now.jobs if job.runs) or "nothing",
    )


def size(size_bytes: int | None) -> str:
    """A size as makers and shops say it."""
    if size_bytes is None:
        return ""
    return f"{size_bytes / 1e9:,.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:,.0f} MB"


def battery(device: Device) -> str:
    """Its level, temperature, and whether something feeds the device."""
    power = device.now.power if device.now else None
    if power is None or not power.battery:
        return ""
    known = (
        "" if power.percent is None else f"{power.percent:.0f} %",
        "" if power.celsius is None else f"{power.celsius:.0f} °C",
        "plugged in" if power.plugged else "",
    )
    return ", ".join(filter(None, known))
