"""The emulated device's dumpsys and settings answer as Android's do."""

from __future__ import annotations

import pytest

from device_runtime.formats.battery import Power, parse_dumpsys
from pipeline.errors import CommandError
from tests.emulator.device import EmulatedDevice
from tests.emulator.services import change_battery

pytestmark = pytest.mark.emulator

SETTING = "global stay_on_while_plugged_in"


def test_its_battery_is_what_a_test_says(emulator: EmulatedDevice) -> None:
    before = parse_dumpsys(emulator.shell("dumpsys battery"))
    assert before == Power(True, True, 100.0, 27.4)
    change_battery(emulator.folder, {"level": "28", "USB powered": "false", "status": "3"})
    assert parse_dumpsys(emulator.shell("dumpsys battery")) == Power(True, False, 28.0, 27.4)
    change_battery(emulator.folder, {"level": "100", "USB powered": "true", "status": "5"})
    assert parse_dumpsys(emulator.shell("dumpsys battery")) == before


def test_a_service_that_it_lacks_is_named(emulator: EmulatedDevice) -> None:
    assert emulator.shell("dumpsys nothing 2>&1") == "Can't find service: nothing\n"


def test_a_setting_that_was_never_set_is_null_and_can_be_so_again(emulator: EmulatedDevice) -> None:
    assert emulator.shell(f"settings get {SETTING}") == "null\n"
    assert emulator.shell(f"settings put {SETTING} 7; settings put system other 1; settings put {SETTING} 3") == ""
    assert emulator.shell(f"settings get {SETTING}; settings get system other") == "3\n1\n"
    assert emulator.shell(f"settings delete {SETTING}; settings delete {SETTING}") == "Deleted 1 rows\nDeleted 0 rows\n"
    assert emulator.shell(f"settings get {SETTING}; settings get system other") == "null\n1\n"
    emulator.shell("settings delete system other")


def test_an_unknown_command_of_settings_fails(emulator: EmulatedDevice) -> None:
    with pytest.raises(CommandError, match="exit code 255"):
        emulator.shell("settings frobnicate")
