"""What the emulated device's `dumpsys` and `settings` answer from: files of the device that outlive its reboots."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.emulator.image import SHELL_ID

# Recorded of real versions: their lines are those of each version's BatteryService.
RECORDED = Path(__file__).parent / "batteries"


def services(folder: Path, android: int = 14) -> Path:
    """The folder of the files, made where it does not exist yet.

    Args:
      folder: the device's.
      android: the version whose battery it starts with: 8, 10 or 14.
    """
    state = folder / "services"
    if not state.exists():
        state.mkdir()
        shutil.copyfile(RECORDED / f"android-{android}.txt", state / "battery")
        (state / "settings").touch()
        # Of what the shell's user may change, it is the only one.
        os.chown(state / "settings", SHELL_ID, SHELL_ID)
        for file in state.iterdir():
            file.chmod(0o644)
    return state


def change_battery(folder: Path, changes: Mapping[str, str]) -> None:
    """Changes what `dumpsys battery` of a device says.

    Args:
      folder: the device's.
      changes: values by the names that its lines have, as `level` and `USB powered`.
    """
    battery = services(folder) / "battery"
    lines = battery.read_text().splitlines()
    for name, value in changes.items():
        at = next(i for i, line in enumerate(lines) if line.strip().startswith(f"{name}:"))
        lines[at] = f"  {name}: {value}"
    # In place: another file under this name would not be the one that the device has mounted.
    battery.write_text("\n".join(lines) + "\n")
