"""A running emulated device and the parts that make it one: adb server, booted root, relay, connection."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.commands import run
from pipeline.errors import CommandError, TargetError
from pipeline.machine import ports
from pipeline.packing.abi import ARM64, X86_64, Abi
from pipeline.targets.adb import server
from pipeline.targets.adb.parse import Address
from tests.emulator import processes
from tests.emulator.android import NEWEST, androids
from tests.emulator.image import Image
from tests.emulator.services import services

HERE = Path(__file__).parent
START_TIMEOUT_S = 60.0
ABIS_32 = {"arm64-v8a": "armeabi-v7a,armeabi", "x86_64": "x86"}
# Since Android 11 emulators of x86-64 translate apps of arm64, and say so.
ABIS_64 = {"arm64-v8a": "arm64-v8a", "x86_64": "x86_64,arm64-v8a"}
HOST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Without these the server would take the phones and emulators of the one who runs the tests for its own.
SERVER_ENVIRONMENT = {"ADB_USB": "0", "ADB_EMU": "0", "ADB_MDNS": "0", "ADB_LOCAL_TRANSPORT_MAX_PORT": "0"}


@dataclass(frozen=True)
class Hardware:
    """What kind of device to emulate.

    Attributes:
      android: version of Android whose tools and properties it has, one of androids.toml.
      abi: what it says its ABI is (`ro.product.cpu.abi`); with x86_64 it runs this machine's own programs, at full
        speed, with all others those of arm64.
      cpu: what qemu emulates of arm64: `cortex-a53` is the oldest that phones with arm64 have, `cortex-a76` what those
        of today have at least, `max` has everything; its scalable vectors take qemu three times as long.
      disk_bytes: size of /data/local/tmp, which is then a memory disk; that of this machine's disk when None.
      executable: whether programs can be started from /data/local/tmp.
    """

    android: int = NEWEST
    abi: str = "arm64-v8a"
    cpu: str = "cortex-a76"
    disk_bytes: int | None = None
    executable: bool = True

    @property
    def runs(self) -> Abi:
        """The ABI of its programs."""
        return X86_64 if self.abi == X86_64.android else ARM64


@dataclass(frozen=True)
class EmulatedDevice:
    """A running device.

    Attributes:
      name: tells the devices of this machine apart.
      serial: its name for adb, `127.0.0.1:PORT`.
      adb_server_port: loopback port of the adb server that is connected to it.
      folder: its files on this machine.
      image: the programs it runs.
      hardware: what kind of device it is.
    """

    name: str
    serial: str
    adb_server_port: int
    folder: Path
    image: Image
    hardware: Hardware

    @property
    def port(self) -> int:
        """The loopback port that leads to its adbd."""
        return int(self.serial.rpartition(":")[2])

    @property
    def env(self) -> dict[str, str]:
        """What leads to its adb server, and names it to what takes a device from there."""
        return {"ANDROID_ADB_SERVER_PORT": str(self.adb_server_port), "ANDROID_SERIAL": self.serial}

    @property
    def data(self) -> Path:
        """The folder of this machine that is its /data/local/tmp, unless it was made with `disk_bytes`."""
        return self.folder / "data"

    @property
    def ledger(self) -> Path:
        """What was started for it."""
        return self.folder / "ledger"

    def adb(self, *arguments: str | Path, timeout_s: float = 60) -> str:
        """Runs the adb client with its server, and returns the stdout.

        Raises:
          CommandError: adb's exit code, which is a shell command's own, is not 0; or the server is gone.
        """
        # adb would start a server of its own, which nobody would end.
        if not listens(self.adb_server_port):
            raise CommandError(f"no adb server listens on port {self.adb_server_port} any more")
        environment = {
            "HOME": str(self.folder),
            "PATH": HOST_PATH,
            "ANDROID_ADB_SERVER_PORT": str(self.adb_server_port),
        }
        return run([*self.image.adb, *arguments], timeout_s=timeout_s, env=environment)

    def shell(self, command: str, timeout_s: float = 60) -> str:
        """Runs a line of the device's shell on it and returns the stdout.

        Raises:
          CommandError: its exit code is not 0.
        """
        return self.adb("-s", self.serial, "shell", command, timeout_s=timeout_s)


def start_server(device: EmulatedDevice) -> None:
    """Starts an adb server of the device's own."""
    environment = {
        **SERVER_ENVIRONMENT,
        "HOME": str(device.folder),
        "PATH": HOST_PATH,
        "ANDROID_ADB_SERVER_PORT": str(device.adb_server_port),
    }
    command = [*device.image.adb, "nodaemon", "server"]
    processes.start("server", command, ledger=device.ledger, log=device.folder / "server.log", env=environment)
    wait_until(device, lambda: listens(device.adb_server_port))


def end_later_server(folder: Path) -> None:
    """Ends an adb server that the pipeline started where the device's own, which had been killed, was."""
    state = folder / "device.json"
    # One beside another device has that one's server, and no log of it.
    if state.exists() and (folder / "server.log").exists():
        port = int(json.loads(state.read_text())["adb_server_port"])
        # It ends instead of an answer.
        with suppress(TargetError):
            server.ask(Address("127.0.0.1", port), "host:kill")


def boot(device: EmulatedDevice) -> None:
    """Starts the device's init and waits for its adbd.

    Raises:
      TargetError: it does not come up.
    """
    hardware = device.hardware
    properties = device.folder / "build.prop"
    properties.write_text("".join(f"{name}={value}\n" for name, value in _properties(hardware).items()))
    properties.chmod(0o644)
    options = "nosuid,nodev" + ("" if hardware.executable else ",noexec")
    data: str | Path = device.data
    if hardware.disk_bytes is not None:
        data, options = "tmpfs", f"{options},size={hardware.disk_bytes}"
    namespaces = ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child"]
    mounted = [device.image.root, device.image.tools(hardware.android), data, properties, options]
    init: list[str | Path] = ["sh", HERE / "boot.sh", *mounted, hardware.cpu, services(device.folder, hardware.android)]
    log = device.folder / "device.log"
    log.unlink(missing_ok=True)
    keeper = processes.start("keeper", [*namespaces, *init], ledger=device.ledger, log=log, env={"PATH": HOST_PATH})
    wait_until(device, lambda: bool(processes.children(keeper.pid)))
    with suppress(CommandError, IndexError):
        # It may have ended already; then its log says why.
        processes.note("device", processes.children(keeper.pid)[0], device.ledger)
    wait_until(device, lambda: "adbd started" in log.read_text(errors="replace"))


def _properties(hardware: Hardware) -> dict[str, str | int]:
    android = androids()[hardware.android]
    abis_64, abis_32 = ABIS_64.get(hardware.abi, ""), ABIS_32[hardware.runs.android]
    return {
        "ro.product.cpu.abi": hardware.abi,
        "ro.product.cpu.abilist": ",".join(filter(None, (abis_64, abis_32))),
        "ro.product.cpu.abilist32": abis_32,
        "ro.product.cpu.abilist64": abis_64,
        "ro.product.model": "train-on-device emulator",
        "ro.build.version.release": android.release,
        "ro.build.version.sdk": android.sdk,
        "sys.boot_completed": 1,
    }


def connect(device: EmulatedDevice) -> None:
    """Tells the adb server about the device and waits until its shell answers.

    Raises:
      TargetError: it does not within a minute.
    """

    def answers() -> bool:
        try:
            device.adb("connect", device.serial, timeout_s=20)
            return device.shell("echo up", timeout_s=20) == "up\n"
        except CommandError:
            return False

    wait_until(device, answers)


def start_relay(device: EmulatedDevice) -> None:
    """Plugs the device in: its port on this machine leads to it from now on."""
    init = processes.running(device.ledger, "device")
    if init is None:
        raise TargetError(f"the emulated device {device.name} does not run any more: see {device.folder}/device.log")
    relay: list[str | Path] = [sys.executable, HERE / "relay.py", str(device.port), str(init.pid)]
    processes.start("relay", relay, ledger=device.ledger, log=device.folder / "relay.log", env={"PATH": HOST_PATH})
    wait_until(device, lambda: listens(device.port))


def wait_until(device: EmulatedDevice, happened: Callable[[], bool]) -> None:
    """Waits until `happened`, as long as the device runs and a minute has not passed.

    Raises:
      TargetError: one of them is so.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while not happened():
        if time.monotonic() > deadline or not _runs(device):
            last = (device.folder / "device.log").read_text(errors="replace").strip().splitlines()[-3:]
            raise TargetError(f"the emulated device does not come up; the end of its log is: {' | '.join(last)}")
        time.sleep(0.05)


def _runs(device: EmulatedDevice) -> bool:
    latest = {process.role: process for process in processes.noted(device.ledger)}
    return all(processes.alive(latest[role]) for role in ("server", "keeper", "device", "relay") if role in latest)


def listens(port: int) -> bool:
    """Whether anybody takes connections at the loopback port."""
    return ports.listens(ports.LOOPBACK, port)
