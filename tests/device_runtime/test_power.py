"""What devices say of their batteries: recorded output of Android's versions, and folders as the kernel has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_runtime.formats.battery import Power, parse_dumpsys
from device_runtime.power import Device
from tests.emulator.services import RECORDED

# A Samsung of 2018: lines of the maker's before, behind and under the names of Android's.
SAMSUNG = """\
Current Battery Service state:
  mBootCompleted: true
  AC powered: false
  USB powered: true
  Wireless powered: false
  Max charging current: 0
  Max charging voltage: 0
  Charge counter: 0
  status: 2
  health: 2
  present: true
  level: 84
  scale: 100
  voltage: 4063
  temperature: 326
  technology: Li-ion
  batterySWSelfDischarging: false
  LED Charging: true
  current now: 321
  charge counter: 0
USE_FAKE_BATTERY: false
LLB CAL:
  mSavedBatteryMaxTemp: 490
[EventLogBuffer]
08-11 18:34:14.721  Sending ACTION_BATTERY_CHANGED: level:72, health:2, voltage:4120, temperature:345
"""


def supply(root: Path, name: str, **files: str) -> Path:
    """A folder of /sys/class/power_supply; in each of its files a value."""
    folder = root / "sys" / "class" / "power_supply" / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, value in files.items():
        (folder / file).write_text(value + "\n")
    return folder


def zone(root: Path, number: int, kind: str, temperature: str) -> None:
    folder = root / "sys" / "class" / "thermal" / f"thermal_zone{number}"
    folder.mkdir(parents=True)
    (folder / "type").write_text(kind + "\n")
    (folder / "temp").write_text(temperature + "\n")


@pytest.mark.parametrize(
    ("android", "power"),
    [
        (8, Power(True, True, 100.0, 27.4)),
        (10, Power(True, True, 77.0, 31.2)),
        (14, Power(True, True, 62.0, 28.5)),
    ],
)
def test_the_recorded_output_of_each_version_is_read(android: int, power: Power) -> None:
    assert parse_dumpsys((RECORDED / f"android-{android}.txt").read_text()) == power


def test_lines_that_a_maker_added_do_not_disturb() -> None:
    assert parse_dumpsys(SAMSUNG) == Power(True, True, 84.0, 32.6)


def test_lines_end_as_on_old_versions_with_a_carriage_return() -> None:
    assert parse_dumpsys(SAMSUNG.replace("\n", "\r\n")) == Power(True, True, 84.0, 32.6)


def test_an_unplugged_phone_is_unplugged() -> None:
    unplugged = SAMSUNG.replace("USB powered: true", "USB powered: false").replace("status: 2", "status: 3")
    assert parse_dumpsys(unplugged) == Power(True, False, 84.0, 32.6)


def test_a_television_box_has_no_battery_and_is_plugged_in() -> None:
    box = SAMSUNG.replace("present: true", "present: false").replace("USB powered: true", "USB powered: false")
    assert parse_dumpsys(box) == Power(False, True)


@pytest.mark.parametrize("text", ["", "Can't find service: battery\n", "Permission Denial: can't dump battery\n"])
def test_what_is_no_answer_is_none(text: str) -> None:
    assert parse_dumpsys(text) is None


def test_a_laptop_is_read_from_its_supplies(tmp_path: Path) -> None:
    supply(tmp_path, "AC", type="Mains", online="0")
    supply(tmp_path, "BAT0", type="Battery", present="1", status="Discharging", capacity="41", temp="305")
    supply(tmp_path, "mouse", type="Battery", scope="Device", capacity="3", status="Discharging")
    assert Device(tmp_path).power() == Power(True, False, 41.0, 30.5)
    supply(tmp_path, "AC", type="Mains", online="1")
    assert Device(tmp_path).power().plugged


def test_a_battery_that_charges_is_fed_by_something(tmp_path: Path) -> None:
    supply(tmp_path, "bq27441-0", type="Battery", status="Charging", capacity="50")
    assert Device(tmp_path).power() == Power(True, True, 50.0, None)


def test_a_board_without_supplies_is_plugged_in(tmp_path: Path) -> None:
    assert Device(tmp_path).power() == Power(False, True)


def test_the_sensor_of_a_battery_stands_in_for_the_battery(tmp_path: Path) -> None:
    supply(tmp_path, "BAT0", type="Battery", capacity="50", status="Discharging")
    zone(tmp_path, 0, "cpu-thermal", "61000")
    zone(tmp_path, 1, "battery", "33500")
    assert Device(tmp_path).power().celsius == 33.5


def test_the_state_is_the_hottest_sensor_the_fastest_core_and_the_memory_left(tmp_path: Path) -> None:
    zone(tmp_path, 0, "cpu-thermal", "61000")
    zone(tmp_path, 1, "modem", "-274000")
    for core, kilohertz in enumerate(("1800000", "600000")):
        folder = tmp_path / "sys" / "devices" / "system" / "cpu" / f"cpu{core}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_cur_freq").write_text(kilohertz + "\n")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal:  100 kB\nMemFree:  5 kB\nMemAvailable:  42 kB\n")
    state = {"hottest_celsius": 61.0, "cpu_mhz": 1800.0, "available_memory_bytes": 43008}
    assert Device(tmp_path).state() == state


def test_this_machine_is_read_without_a_failure() -> None:
    device = Device()
    assert device.power().plugged in (True, False)
    assert device.state()["available_memory_bytes"] > 2**20
    assert len(device.local_time()) == len("22:00")
