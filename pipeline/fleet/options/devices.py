"""Which devices are meant: `--devices`."""

from __future__ import annotations

from dataclasses import dataclass

_LOCAL = "local:"
# Each takes some 100 MiB of this machine.
_MOST_LOCAL = 256


@dataclass(frozen=True)
class Devices:
    """Devices of a fleet.

    Attributes:
      serials: of adb, in the order in which they were named.
      every: whether all that adb sees are meant.
      local: so many more are trainings on this machine.
    """

    serials: tuple[str, ...] = ()
    every: bool = False
    local: int = 0

    def __str__(self) -> str:
        parts = [*(["all"] if self.every else []), *self.serials, *([f"{_LOCAL}{self.local}"] if self.local else [])]
        return ",".join(parts)


def parse_devices(text: str) -> Devices:
    """Reads `all`, `local:4`, or serials, with commas between.

    Raises:
      ValueError: a number of local devices cannot be meant, or one is named twice.
    """
    serials, every, local = list[str](), False, 0
    for word in (word.strip() for word in text.split(",")):
        if word == "all":
            every = True
        elif word.startswith(_LOCAL):
            number = word.removeprefix(_LOCAL)
            if local or not number.isdecimal() or not 1 <= int(number) <= _MOST_LOCAL:
                raise ValueError(f"local:4, so many trainings on this machine, from 1 to {_MOST_LOCAL}, once")
            local = int(number)
        elif not word or word in serials:
            raise ValueError("serials of adb, all, or local:4, with commas between, each once")
        else:
            serials.append(word)
    return Devices(tuple(serials), every, local)
