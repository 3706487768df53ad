"""A fleet with an emulated arm64 device, which goes away in a round and comes back in the next."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.fleet.records import of, read, rounds
from tests.emulator.android import OLDEST
from tests.emulator.device import EmulatedDevice, Hardware, emulated_device
from tests.emulator.faults import gone
from tests.emulator.parts import SERVER_ENVIRONMENT
from tests.faults.training import wait_for
from tests.invoking import started
from tests.test_fleet import TRAINING

pytestmark = [pytest.mark.emulator, pytest.mark.slow]
OUTPUT = Path("train-on-device") / "fleet-arm64" / "output"


@pytest.fixture(scope="module")
def device(may_emulate: None) -> Iterator[EmulatedDevice]:
    """A device that no other tests share, as it goes away."""
    with emulated_device(Hardware(android=OLDEST)) as device:
        yield device


def test_a_device_that_goes_away_is_left_out_of_its_round_and_comes_back(
    device: EmulatedDevice, made_of: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    # The device's job runs on while it is away: the next round takes its place.
    words = ["--devices", f"{device.serial},local:2", "--rounds", "3", "--min-devices", "3", *TRAINING]
    places = ["--build", str(tmp_path / "build"), "--runs", str(tmp_path / "runs")]
    env = {**SERVER_ENVIRONMENT, "ANDROID_ADB_SERVER_PORT": str(device.adb_server_port)}
    with started("fleet", *made_of, *words, *places, env=env, stderr=subprocess.STDOUT) as begun:
        wait_for(lambda: _done(tmp_path) == 1 or begun.poll() is not None)
        wait_for(lambda: _trains_again(device, tmp_path) or begun.poll() is not None)
        with gone(device):
            wait_for(lambda: _done(tmp_path) == 2 or begun.poll() is not None)
        output, _ = begun.communicate(timeout=300)
    assert begun.returncode == 0, output
    [results] = (tmp_path / "runs").iterdir()
    records = read(results)
    assert [record["devices"] for record in rounds(records)] == [3, 2, 3]
    [missing] = of(records, "missing")
    assert (missing["round"], missing["device"]) == (2, device.serial)
    assert f"round 2: without {device.serial}: " in output
    assert {u["round"] for u in of(records, "update") if u["device"] == device.serial} == {1, 3}
    [told] = [record for record in of(records, "device") if record["device"] == device.serial]
    assert told["kind"] == "arm64"
    accuracies = [record["accuracy"] for record in of(records, "global")]
    assert accuracies[-1] > accuracies[0] + 0.2
    assert {record["device"] for record in of(records, "evaluation")} == {device.serial, "local:1", "local:2"}


def _done(folder: Path) -> int:
    """How many rounds are recorded."""
    found = list(folder.glob("runs/*/fleet.jsonl"))
    return len(rounds(read(found[0].parent))) if found else 0


def _trains_again(device: EmulatedDevice, folder: Path) -> bool:
    """Whether the device's training began after the first round was written."""
    metrics = device.data / OUTPUT / "metrics.jsonl"
    first = next(folder.glob("runs/*/*_round_1.safetensors"))
    return metrics.exists() and metrics.stat().st_mtime > first.stat().st_mtime
