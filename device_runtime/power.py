"""What this device says of its battery, temperatures, processors and memory.

Android is asked by `dumpsys battery`, which its shell user may call; every Linux has files in /sys. Nothing here
raises: what a device does not tell is None.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from device_runtime.formats.battery import Power, as_number, parse_dumpsys

ASK_TIMEOUT_S = 10.0


class Device:
    """This device.

    Args:
      root: where its /sys and /proc are.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._supplies = root / "sys" / "class" / "power_supply"
        self._zones = root / "sys" / "class" / "thermal"
        self._processors = root / "sys" / "devices" / "system" / "cpu"
        self._memory = root / "proc" / "meminfo"

    def power(self) -> Power:
        """Asks Android where this is one, or else the kernel."""
        said = parse_dumpsys(_output_of("dumpsys", "battery"))
        return self._power_of_kernel() if said is None else said

    def local_time(self) -> str:
        """`HH:MM` of the device's clock and time zone.

        Asked of the device's own `date`: Android keeps the zone in a property, which its C library alone reads.
        """
        return _output_of("date", "+%H:%M").strip()

    def state(self) -> dict[str, int | float]:
        """What metrics note beside the battery: the hottest sensor, the fastest core's frequency, the memory left."""
        temperatures = [degrees for _, degrees in self._temperatures()]
        frequencies = [_number(path) for path in self._processors.glob("cpu[0-9]*/cpufreq/scaling_cur_freq")]
        noted: dict[str, int | float | None] = {
            "hottest_celsius": max(temperatures, default=None),
            "cpu_mhz": max((kilohertz / 1000 for kilohertz in frequencies if kilohertz), default=None),
            "available_memory_bytes": self._available_memory(),
        }
        return {name: value for name, value in noted.items() if value is not None}

    def _power_of_kernel(self) -> Power:
        # What feeds a mouse or a headset is of the scope `Device`.
        supplies = [folder for folder in _folders(self._supplies) if _text(folder / "scope") != "Device"]
        batteries = [f for f in supplies if _text(f / "type") == "Battery" and _text(f / "present") != "0"]
        if not batteries:
            return Power(battery=False, plugged=True)
        feeding = [folder for folder in supplies if _text(folder / "type") not in ("Battery", "UPS")]
        plugged = any(_text(folder / "online") not in ("0", "") for folder in feeding)
        plugged |= any(_text(folder / "status") in ("Charging", "Full") for folder in batteries)
        percents = [percent for folder in batteries if (percent := _number(folder / "capacity")) is not None]
        tenths = [tenth for folder in batteries if (tenth := _number(folder / "temp")) is not None]
        celsius = [tenth / 10 for tenth in tenths] or [t for kind, t in self._temperatures() if "batt" in kind.lower()]
        return Power(True, plugged, min(percents, default=None), max(celsius, default=None))

    def _temperatures(self) -> Iterator[tuple[str, float]]:
        """Kind and degrees of each sensor that may be read."""
        for zone in _folders(self._zones):
            thousandths = _number(zone / "temp")
            # A sensor that is off says 0 or what no device survives.
            if thousandths is not None and 0 < thousandths < 150_000:
                yield _text(zone / "type"), thousandths / 1000

    def _available_memory(self) -> int | None:
        lines = _text(self._memory).splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _output_of(*command: str) -> str:
    """What a program of the device prints; nothing where it fails or there is none."""
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=ASK_TIMEOUT_S, check=True)
        return done.stdout.decode(errors="replace")
    return ""


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _text(path: Path) -> str:
    # A driver may refuse the reading itself.
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> float | None:
    return as_number(_text(path))
