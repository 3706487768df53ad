"""A device's place in a fleet: what its node has to know of it, seat.json beside its package."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import PackageError
from pipeline.files import read_record, write_record

FILE_NAME = "seat.json"

# Between a device's name and its host's, where several hosts may have one of that name.
AT = "@"

_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True)
class Seat:
    """A device of a fleet.

    Attributes:
      device: its name in the fleet, which no other has.
      target: what `--target` says of its kind.
      serial: of adb; None for this machine.
      package: the folder of its package on this machine.
      data: its dataset there, where that lies on the device; None: in its package.
      train, test: its images of each class.
      threads: of the runtime; None: what is fastest there.
    """

    device: str
    target: str
    serial: str | None
    package: str
    data: str | None
    train: tuple[int, ...]
    test: tuple[int, ...]
    threads: int | None


def seat_folder(build: Path, device: str) -> Path:
    """Where a device's package and seat.json are."""
    return build / "fleet" / _NOT_PLAIN.sub("-", device.partition(AT)[0])


def write_seat(folder: Path, seat: Seat) -> Path:
    """Writes seat.json; returns its path."""
    write_record(folder / FILE_NAME, seat)
    return folder / FILE_NAME


def read_seat(path: Path) -> Seat:
    """Reads seat.json.

    Raises:
      PackageError: it is not there.
      FormatError: it is damaged.
    """
    seat = read_record(path, Seat)
    if seat is None:
        raise PackageError(f"{path} does not exist: run `invoke fleet` again")
    return seat
