"""What is known of the emulated devices that `invoke emulator.start` started: a small file each in the user's cache."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.files import new_file
from pipeline.targets.adb.parse import Address, address_of
from pipeline.targets.adb.server import listens


@dataclass(frozen=True)
class Emulated:
    """An emulated device, which has an adb server of its own.

    Attributes:
      serial: its name for adb, `127.0.0.1:PORT`.
      adb_server_port: where its server listens.
    """

    serial: str
    adb_server_port: int

    @property
    def server(self) -> Address:
        """Its own adb server."""
        return Address("127.0.0.1", self.adb_server_port)


def register(name: str, device: Emulated) -> None:
    """Lets whoever looks for a device find it where there is no other."""
    with new_file(_folder() / f"{name}.json") as temporary:
        temporary.write_text(json.dumps(asdict(device)) + "\n")


def forget(name: str) -> None:
    """Undoes `register`."""
    (_folder() / f"{name}.json").unlink(missing_ok=True)


def running() -> list[Emulated]:
    """Those that run: one that was killed, or was there before a reboot, left its file."""
    read = (_read(path) for path in sorted(_folder().glob("*.json")))
    return [device for device in read if device is not None and listens(address_of(device.serial))]


def _folder() -> Path:
    return Path.home() / ".cache" / "train-on-device" / "emulated"


def _read(path: Path) -> Emulated | None:
    try:
        fields = json.loads(path.read_text())
        return Emulated(str(fields["serial"]), int(fields["adb_server_port"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
