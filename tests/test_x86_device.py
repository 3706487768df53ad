"""`invoke run --target x86 --serial …` against the emulated x86-64 device: pushed over adb, trained at full speed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.packing.abi import X86_64
from pipeline.targets.device import connect
from tests.emulator.android import NEWEST
from tests.emulator.device import EmulatedDevice, Hardware, emulated_device
from tests.invoking import Invoked, invoke, losses

pytestmark = [pytest.mark.emulator, pytest.mark.slow]

LONGEST_S = 60.0
# What reaches into all that numpy and the C library compute beside the runtime: random numbers, cosines.
TRAINING = ("--cycles", "60", "--augment", "crop", "--schedule", "cosine", "--save-every", "20")


@dataclass(frozen=True)
class Pushed:
    """A package, the device that it was pushed to, and the first run there."""

    device: EmulatedDevice
    build: Path
    run: Invoked
    seconds: float

    @property
    def env(self) -> dict[str, str]:
        """What leads to the device's adb server, and names the device to what takes it from there."""
        return {"ANDROID_ADB_SERVER_PORT": str(self.device.adb_server_port), "ANDROID_SERIAL": self.device.serial}

    def invoke(self, task: str, *words: str | Path) -> Invoked:
        """Runs a task with the device as its target."""
        folders = ("--build", self.build, *(("--runs", self.build / "runs") if task in ("run", "pull") else ()))
        named = ("--target", "x86", "--serial", self.device.serial)
        return invoke(task, *named, *words, *folders, env=self.env)


@pytest.fixture(scope="module")
def pushed(x86_device: EmulatedDevice, build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pushed]:
    """A run of a package that was built before, and by then checked."""
    own = tmp_path_factory.mktemp("x86 device") / "build"
    shutil.copytree(build, own, ignore=shutil.ignore_patterns("package-*", "runtime-*"))
    before = Pushed(x86_device, own, Invoked(0, "", ""), 0.0)
    made = before.invoke("package")
    assert made.code == 0, made.stderr
    began = time.monotonic()
    run = before.invoke("run", *TRAINING)
    seconds = time.monotonic() - began
    assert run.code == 0, run.stderr
    yield Pushed(x86_device, own, run, seconds)
    x86_device.shell("rm -rf /data/local/tmp/*")


def test_a_whole_run_takes_less_than_a_minute(pushed: Pushed) -> None:
    assert "pushed " in pushed.run.stderr
    assert "runtime: " not in pushed.run.stderr
    assert pushed.seconds < LONGEST_S


def test_the_losses_are_those_of_this_machine_to_the_last_digit(pushed: Pushed, build: Path, tmp_path: Path) -> None:
    # What names a device to adb makes none of this machine.
    here = invoke("run", "--target", "x86", *TRAINING, "--build", build, "--runs", tmp_path, env=pushed.env)
    assert here.code == 0, here.stderr
    assert "pushed" not in here.stderr
    assert here.results.name.endswith("-lenet-x86")
    assert pushed.run.results.name.endswith("-lenet-x86-device")
    assert len(losses(here.results)) == 60
    assert losses(pushed.run.results) == losses(here.results)
    assert pushed.run.accuracies == here.accuracies


def test_a_later_android_trains_alike(pushed: Pushed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(pushed.device.adb_server_port))
    with emulated_device(Hardware(NEWEST, "x86_64"), beside=pushed.device) as device:
        target = connect(device.serial, X86_64)
        # It unpacks what is compressed.
        assert target.push(pushed.build / "package-x86-device", lambda done, total: None) < 35 * 10**6
        assert target.run("train.sh", TRAINING, lambda line: None) == 0
        target.pull(tmp_path)
    assert losses(tmp_path) == losses(pushed.run.results)


def test_what_runs_on_the_device_is_asked_for_without_its_target(pushed: Pushed) -> None:
    assert pushed.invoke("eval").accuracies == pushed.run.accuracies[-1:]
    for words in ((), ("--target", "x86", "--serial", pushed.device.serial)):
        assert invoke("status", *words, env=pushed.env).stdout == "ended 0\n"
        assert invoke("attach", *words, env=pushed.env).accuracies == pushed.run.accuracies[-1:]
        assert invoke("stop", *words, env=pushed.env).stderr == f"error: {pushed.device.serial}: no job runs\n"


def test_a_training_that_is_over_is_not_gone_on_with(pushed: Pushed) -> None:
    again = pushed.invoke("run", "--resume")
    assert again.code == 8
    assert "there is no training to go on with, neither on x86-device nor in" in again.stderr


def test_a_device_of_the_other_abi_is_refused_before_anything_is_built(pushed: Pushed, tmp_path: Path) -> None:
    x86 = pushed.device
    folders = ("--build", tmp_path / "build", "--runs", tmp_path / "runs")
    with emulated_device(beside=x86) as arm64:
        messages = {
            ("arm64", x86.serial): f"is x86_64, not arm64-v8a: give --target x86 --serial {x86.serial}",
            ("x86", arm64.serial): "is arm64-v8a, not x86_64: give --target arm64",
        }
        for (target, serial), message in messages.items():
            refused = invoke("run", "--target", target, "--serial", serial, *folders, env=pushed.env)
            assert refused.code == 8
            assert refused.stderr == f"error: {serial} {message}\n"
        assert arm64.shell("ls -A /data/local/tmp") == ""
    assert not (tmp_path / "build").exists()
