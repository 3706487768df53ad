"""A fleet of emulated x86-64 devices: of images that lie there, and of batteries that are to be full enough."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.fleet.records import of, read, rounds
from tests.emulator.device import EmulatedDevice, Hardware, emulated_device
from tests.emulator.services import change_battery
from tests.faults.training import wait_for
from tests.invoking import invoke, started
from tests.test_fleet import TRAINING

pytestmark = [pytest.mark.emulator, pytest.mark.slow]

THERE = "/data/local/tmp/photos"


@pytest.fixture
def devices(
    x86_device: EmulatedDevice, made_of: tuple[str, ...], tmp_path: Path
) -> Iterator[tuple[EmulatedDevice, EmulatedDevice]]:
    """Two devices with images of their own; the battery of the second is low."""
    converted = invoke("convert", *made_of[2:], "--build", tmp_path / "there")
    assert converted.code == 0, converted.stderr
    [dataset] = (tmp_path / "there").glob("dataset-*")
    with emulated_device(Hardware(abi="x86_64"), beside=x86_device) as second:
        for device in (x86_device, second):
            device.adb("-s", device.serial, "push", dataset, THERE)
        change_battery(second.folder, {"level": "28"})
        yield x86_device, second
    x86_device.shell("rm -rf /data/local/tmp/*")


def test_images_stay_on_their_devices_and_one_whose_battery_is_low_is_left_out_until_it_is_full(
    devices: tuple[EmulatedDevice, EmulatedDevice], made_of: tuple[str, ...], tmp_path: Path
) -> None:
    first, second = devices
    words = ["--devices", f"{first.serial},{second.serial}", "--rounds", "3", "--min-battery", "50", *TRAINING]
    places = ["--build", str(tmp_path / "build"), "--runs", str(tmp_path / "runs")]
    command = ("fleet", *made_of[:2], "--data", f"device:{THERE}", *words, *places)
    env = {"ANDROID_ADB_SERVER_PORT": str(first.adb_server_port)}
    with started(*command, env=env, stderr=subprocess.STDOUT) as begun:
        wait_for(lambda: any(tmp_path.glob("runs/*/tiny_round_1.safetensors")) or begun.poll() is not None)
        change_battery(second.folder, {"level": "80"})
        output, _ = begun.communicate(timeout=300)
    assert begun.returncode == 0, output
    [results] = (tmp_path / "runs").iterdir()
    records = read(results)
    assert [record["round"] for record in rounds(records)] == [1, 2, 3]
    took_part = {number: {u["device"] for u in of(records, "update") if u["round"] == number} for number in (1, 3)}
    assert took_part == {1: {first.serial}, 3: {first.serial, second.serial}}
    away = of(records, "missing")[0]
    assert (away["round"], away["device"]) == (1, second.serial)
    assert "28 %" in away["why"]
    assert f"round 1: without {second.serial}: {away['why']}" in output
    assert {record["device"] for record in of(records, "evaluation")} == {first.serial, second.serial}
    # Of its images this machine knows how many there are of each class.
    assert [sum(record["train"]) for record in of(records, "device")] == [400, 400]
    # What stands here for images is noise.
    build = tmp_path / "build"
    assert {path.relative_to(build).parts[:2] for path in build.rglob("*.bmp")} == {("fleet", "stand-in")}
    assert of(records, "global") == []
