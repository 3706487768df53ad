"""The setting that keeps an Android device awake while a job runs, by the real job.sh on the emulated device."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import CommandError
from tests.emulator.device import EmulatedDevice, emulated_device
from tests.emulator.faults import reboot
from tests.invoking import ROOT

pytestmark = pytest.mark.emulator

PACKAGE = "/data/local/tmp/train-on-device/package-arm64"
SETTING = "global stay_on_while_plugged_in"
# What the runner is to job.sh: a script that runs until it is told to end, or for as long as its first word says.
SCRIPT = '#!/bin/sh\nexec sleep "$1"\n'


@pytest.fixture
def device(emulator: EmulatedDevice, tmp_path: Path) -> Iterator[EmulatedDevice]:
    """A device of its own, with job.sh and a script on it."""
    (tmp_path / "train.sh").write_text(SCRIPT)
    with emulated_device(beside=emulator) as device:
        device.shell(f"mkdir -p {PACKAGE}")
        for file in (ROOT / "packaging" / "job.sh", tmp_path / "train.sh"):
            device.adb("-s", device.serial, "push", file, f"{PACKAGE}/{file.name}")
        yield device


def job(device: EmulatedDevice, *words: str) -> str:
    return device.shell(f"sh {PACKAGE}/job.sh {' '.join(words)}").strip()


def setting(device: EmulatedDevice) -> str:
    return device.shell(f"settings get {SETTING}").strip()


def wait_for(device: EmulatedDevice, value: str) -> None:
    deadline = time.monotonic() + 20
    while setting(device) != value:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("flag", ["--stay-awake", "--while-charging"])
@pytest.mark.parametrize("old", ["3", "null"])
def test_the_setting_is_as_it_was_when_the_job_has_ended(device: EmulatedDevice, flag: str, old: str) -> None:
    if old != "null":
        device.shell(f"settings put {SETTING} {old}")
    job(device, "start", "a", "train.sh", "4", flag)
    wait_for(device, "7")
    # Nobody asks: the device does it by itself, before it says that the job has ended.
    assert job(device, "follow", "0") == ""
    assert setting(device) == old
    assert device.shell(f"ls {PACKAGE}/job").split() == ["code", "lock", "log", "pid", "script", "token"]


def test_a_job_that_does_not_ask_for_it_changes_nothing(device: EmulatedDevice) -> None:
    job(device, "start", "a", "train.sh", "2", "--stay-awakened")
    job(device, "follow", "0")
    assert setting(device) == "null"
    assert not (device.folder / "services" / "settings").read_text()


def test_a_job_that_is_stopped_lets_the_device_sleep(device: EmulatedDevice) -> None:
    job(device, "start", "a", "train.sh", "100", "--stay-awake")
    wait_for(device, "7")
    job(device, "stop")
    assert setting(device) == "null"


@pytest.mark.parametrize("contact", ["status", "start b train.sh 0", "stop"])
def test_after_a_kill_the_next_contact_lets_the_device_sleep(device: EmulatedDevice, contact: str) -> None:
    device.shell(f"settings put {SETTING} 1")
    job(device, "start", "a", "train.sh", "100", "--stay-awake")
    wait_for(device, "7")
    assert job(device, "status") == "running train.sh"
    assert setting(device) == "7"
    device.shell(f"kill -KILL -- -$(cat {PACKAGE}/job/pid)")
    assert setting(device) == "7"
    if contact == "stop":
        with pytest.raises(CommandError, match="no job runs"):
            job(device, contact)
    else:
        job(device, contact)
    assert setting(device) == "1"


def test_after_a_reboot_the_next_contact_lets_the_device_sleep(device: EmulatedDevice) -> None:
    job(device, "start", "a", "train.sh", "100", "--stay-awake")
    wait_for(device, "7")
    reboot(device)
    assert setting(device) == "7"
    assert job(device, "status") == "died"
    assert setting(device) == "null"


def test_a_job_after_one_that_was_killed_keeps_the_value_from_before_both(device: EmulatedDevice) -> None:
    for token in ("a", "b"):
        job(device, "start", token, "train.sh", "100", "--stay-awake")
        wait_for(device, "7")
        device.shell(f"kill -KILL -- -$(cat {PACKAGE}/job/pid)")
    job(device, "status")
    assert setting(device) == "null"


def test_android_that_refuses_is_told_and_the_job_runs(device: EmulatedDevice) -> None:
    (device.folder / "services" / "settings").chmod(0o444)
    job(device, "start", "a", "train.sh", "1", "--stay-awake")
    told = "the device may fall asleep: Android refuses to change its setting stay_on_while_plugged_in"
    assert job(device, "follow", "0") == told
    assert job(device, "status") == "ended 0"
