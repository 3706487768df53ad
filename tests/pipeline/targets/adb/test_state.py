"""How a device is, from text as devices print it."""

from __future__ import annotations

import re

import pytest

from device_runtime.formats.battery import Power
from pipeline.packing.runtime import PACKAGING
from pipeline.targets.adb.state import TOOLS, DeviceState, Job, parse_state
from tests.emulator.android import OLDEST, androids
from tests.invoking import ROOT

BATTERY = (ROOT / "tests" / "emulator" / "batteries" / "android-8.txt").read_text()
RECORDED = f"""disk: /dev/block/dm-5 112934544 60211200 52723344 54% /data
used: 73120\ttrain-on-device
job: train-on-device/package-arm64 running train.sh
unpulled: train-on-device/package-arm64
{BATTERY}"""

# What a shell does itself; `settings` and `input` are asked for before they are called.
BUILTIN = {"cd", "echo", "exit", "kill", "trap", "umask", "set", "test", "exec", "export", "case", "command", "shift"}


def test_everything_is_read() -> None:
    assert parse_state(RECORDED) == DeviceState(
        free_bytes=52723344 * 1024,
        used_bytes=73120 * 1024,
        power=Power(True, True, 100.0, 27.4),
        lacks=(),
        jobs=(Job("package-arm64", "running train.sh"),),
        unpulled=("package-arm64",),
    )


def test_lines_may_end_as_windows_has_them() -> None:
    assert parse_state(RECORDED.replace("\n", "\r\n")) == parse_state(RECORDED)


def test_a_device_that_has_nothing_of_ours_and_tells_nothing_is_known_by_that() -> None:
    assert parse_state("used: \nlacks: flock\nlacks: tar\n") == DeviceState(None, 0, None, ("flock", "tar"), (), ())


@pytest.mark.parametrize(
    "damage",
    [
        "disk: no such file",
        "used: -4\ttrain-on-device",
        "used: 9999999999999999999\ttrain-on-device",
        "lacks: rm -rf /",
    ],
)
def test_what_cannot_be_meant_is_not_taken(damage: str) -> None:
    assert parse_state(damage) == DeviceState(None, 0, None, (), (), ())


def test_a_battery_says_nothing_of_jobs() -> None:
    assert parse_state(f"{RECORDED}job: train-on-device/package-x died\n").jobs == parse_state(RECORDED).jobs


def test_the_oldest_android_has_every_tool_that_is_asked_for() -> None:
    assert set(TOOLS) <= {*androids()[OLDEST].tools}


@pytest.mark.parametrize("source", ["job.sh", "train.sh", "eval.sh"])
def test_every_tool_of_a_script_that_is_pushed_is_asked_for(source: str) -> None:
    oldest = androids()[OLDEST].tools
    code = "\n".join(line for line in (PACKAGING / source).read_text().splitlines() if line.strip()[:1] != "#")
    called = set(
        re.findall(r"(?:^|[;&|({!`]|\bif|\bwhile|\bdo|\bthen|\$\()\s*([a-z0-9]+)\b(?![=)])", code, re.MULTILINE)
    )
    assert "dirname" in called
    assert called & set(oldest) - BUILTIN <= set(TOOLS)
