"""adb: its server, the device that a run would take, and what each device lacks."""

from __future__ import annotations

from collections.abc import Iterator

from device_runtime.formats.errors import FormatError
from device_runtime.formats.manifest import FILE_NAME as MANIFEST
from device_runtime.formats.manifest import read_manifest
from pipeline.doctor.asking import Device, ask_devices, emulated_servers, own_server
from pipeline.doctor.devices import battery, size
from pipeline.doctor.finding import Finding, lacking, ok
from pipeline.errors import TargetError
from pipeline.packing.abi import Abi
from pipeline.packing.package import package_folder
from pipeline.settings import Settings
from pipeline.targets.adb import server
from pipeline.targets.adb.adb import Adb
from pipeline.targets.adb.choosing import choose
from pipeline.targets.adb.parse import NO_DEVICE, abi_of
from pipeline.targets.adb.push import SPARE_BYTES
from pipeline.targets.adb.state import BASE, DeviceState
from pipeline.targets.device import ASK_ABIS, AdbTarget

# The package of LeNet and its sample; others are larger.
FIRST_PACKAGE_BYTES = 70 * 2**20
LOW_PERCENT = 20


def examine(settings: Settings, abi: Abi, *, needed: bool) -> list[Finding]:
    """Findings on adb and devices; one that is needed is chosen as a run does, which starts a server where none is.

    Args:
      settings: what the user asks for.
      abi: that a device has to have.
      needed: whether the run trains on a device.
    """
    findings, chosen = list[Finding](), ""
    if needed:
        try:
            chosen = choose(settings.serial).serial
        except TargetError as error:
            findings.append(lacking(str(error)))
    try:
        findings += [_server(), *_devices(chosen, abi, _needed_bytes(settings, abi), needed=needed)]
    except TargetError as error:
        findings.append(lacking(str(error), needed=needed))
    # What keeps a run from choosing a device is mostly the trouble of the only one.
    return list({finding.said: finding for finding in reversed(findings)}.values())[::-1]


def _server() -> Finding:
    """The adb server, or what starts one.

    Raises:
      TargetError: it does not answer, or none runs and there is no adb to start one.
    """
    address = own_server()
    if server.listens(address):
        return ok(f"adb server on port {address.port}, version {server.version(address)}")
    return ok(f"no adb server on port {address.port}; {server.program_for(address)} starts one when it is needed")


def _devices(chosen: str, abi: Abi, needed_bytes: int, *, needed: bool) -> Iterator[Finding]:
    """What each device is and lacks; for another than the chosen one no server is started."""
    asked = [own_server()] if server.listens(own_server()) else []
    devices = ask_devices([*asked, *emulated_servers()])
    if not devices and not needed:
        yield lacking(NO_DEVICE if asked else "no device was looked for: `invoke devices` does", needed=False)
    for device in devices:
        yield from _of_device(device, abi, needed_bytes, needed=device.serial == chosen)


def _check(device: Adb, abi: Abi | None) -> None:
    """Checks what a push checks; the ABI that is wanted, or that there are packages for it.

    Raises:
      TargetError: something is not so.
    """
    AdbTarget(device, abi_of(device.serial, device.execute(ASK_ABIS).text, abi)).check()


def _needed_bytes(settings: Settings, abi: Abi) -> int:
    """What a device has to take, as far as the package is made already."""
    try:
        files = read_manifest(package_folder(settings.build, abi.name) / MANIFEST).files
    except (OSError, FormatError):
        return FIRST_PACKAGE_BYTES + SPARE_BYTES
    return sum(file.size_bytes for file in files) + SPARE_BYTES


def _of_device(device: Device, abi: Abi, needed_bytes: int, *, needed: bool) -> Iterator[Finding]:
    """What the device is, and what it lacks."""
    if device.facts is None or device.now is None:
        yield lacking(device.trouble, needed=needed)
        return
    facts, now = device.facts, device.now
    told = (
        *((facts.model, ""), (facts.system, ""), (facts.abi, ""), (facts.cores, " cores")),
        *((size(facts.memory_bytes), " memory"), (size(now.free_bytes), " free"), (battery(device), "")),
    )
    yield ok(f"{device.serial}: {', '.join(f'{value}{unit}' for value, unit in told if value)}")
    try:
        _check(Adb(device.serial, device.server), abi if needed else None)
    except TargetError as error:
        yield lacking(str(error), needed=needed)
    if now.lacks:
        yield lacking(
            f"{device.serial} has no {', '.join(now.lacks)}", "use a device with Android 8 or later", needed=needed
        )
    if now.free_bytes is not None and now.free_bytes + now.used_bytes < needed_bytes:
        yield lacking(
            f"{device.serial} has {now.free_bytes / 2**20:.0f} MiB free in {BASE}, {needed_bytes / 2**20:.0f} needed",
            "delete something there",
            needed=needed,
        )
    yield from _of_now(device.serial, now, needed=needed)


def _of_now(serial: str, now: DeviceState, *, needed: bool) -> Iterator[Finding]:
    """What passes by itself, or is ended by a command."""
    running = [job for job in now.jobs if job.runs]
    if running:
        said = f"{serial} runs {running[0].status.removeprefix('running ')} of {running[0].package}"
        yield lacking(said, "`invoke attach` shows it, `invoke stop` ends it", needed=needed)
    power = now.power
    if power and power.percent is not None and power.percent < LOW_PERCENT and not power.plugged:
        yield lacking(f"{serial}'s battery is low: {power.percent:.0f} %", "plug it in", needed=False)
