"""What Android's `dumpsys battery` prints, as a record: a device reads its own, the host that of a device."""

from __future__ import annotations

from dataclasses import dataclass

_HEADING = "Current Battery Service state:"
# Of Android's BatteryManager: charging, full.
_CHARGING = ("2", "5")


@dataclass(frozen=True)
class Power:
    """What a battery says, or that there is none.

    Attributes:
      battery: whether there is one.
      plugged: whether something feeds the device; a device without a battery is plugged in.
      percent: how full the battery is.
      celsius: the battery's temperature.
    """

    battery: bool
    plugged: bool
    percent: float | None = None
    celsius: float | None = None


def parse_dumpsys(text: str) -> Power | None:
    """Reads what Android's `dumpsys battery` prints; None where it does not tell.

    Makers add lines of their own, some under names that Android has too: of each name the first line counts.
    """
    if _HEADING not in text:
        return None
    said: dict[str, str] = {}
    for line in text.partition(_HEADING)[2].splitlines():
        name, colon, value = line.partition(":")
        if colon:
            said.setdefault(name.strip(), value.strip())
    fed = any(value == "true" for name, value in said.items() if name.endswith(" powered"))
    if said.get("present") == "false":
        return Power(battery=False, plugged=True)
    level, scale, tenths = (as_number(said.get(name, "")) for name in ("level", "scale", "temperature"))
    return Power(
        battery=True,
        plugged=fed or said.get("status") in _CHARGING,
        percent=None if level is None else 100 * level / (scale or 100),
        celsius=None if tenths is None else tenths / 10,
    )


def as_number(text: str) -> float | None:
    """A whole number; None where the text is none."""
    try:
        return float(int(text))
    except (ValueError, OverflowError):
        return None
