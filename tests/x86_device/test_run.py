"""`invoke run --target x86 --serial …` against the emulated x86-64 device: pushed over adb, trained at full speed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from device_runtime.formats.manifest import read_manifest
from pipeline.datasets.convert import SAMPLE
from pipeline.packing.abi import ARM64, X86_64
from pipeline.targets.adb.adb import Adb
from pipeline.targets.device import AdbTarget, connect
from tests.emulator.android import NEWEST
from tests.emulator.device import Hardware, emulated_device
from tests.in_torch import lenet_accuracy
from tests.invoking import Invoked, invoke, losses
from tests.x86_device.packaged import CYCLES, ROOT, TRAINING, Packaged, nothing

pytestmark = [pytest.mark.emulator, pytest.mark.slow]

LONGEST_S = 60.0


@dataclass(frozen=True)
class Pushed(Packaged):
    """The package on the device, and the first run there."""

    run: Invoked
    seconds: float


@pytest.fixture(scope="module")
def pushed(packaged: Packaged) -> Pushed:
    """A run on a device that has nothing of ours."""
    packaged.device.shell("rm -rf /data/local/tmp/*")
    began = time.monotonic()
    run = packaged.invoke("run", *TRAINING)
    seconds = time.monotonic() - began
    assert run.code == 0, run.stderr
    return Pushed(packaged.device, packaged.build, run, seconds)


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


@pytest.mark.usefixtures("target")
def test_a_later_android_trains_alike(pushed: Pushed, tmp_path: Path) -> None:
    with emulated_device(Hardware(NEWEST, "x86_64"), beside=pushed.device) as device:
        later = connect(device.serial, X86_64)
        # It unpacks what is compressed.
        assert later.push(pushed.package, nothing) < 35 * 10**6
        assert later.run("train.sh", TRAINING, lambda line: None) == 0
        later.pull(tmp_path)
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


def test_what_is_on_the_device_is_its_shells_alone(pushed: Pushed) -> None:
    assert pushed.device.shell("find /data/local/tmp/train-on-device -perm /077") == ""


def test_the_trained_model_is_evaluated_on_the_device_beside_the_package(pushed: Pushed) -> None:
    evaluated = pushed.invoke("eval", "--run", pushed.run.results, "--data", SAMPLE)
    assert evaluated.accuracies == pushed.run.accuracies[-1:], evaluated.stderr
    # The runtime stays for the next time, and what was trained is still there.
    inference = "/data/local/tmp/train-on-device/inference-x86-device"
    assert "output" not in pushed.device.shell(f"ls {inference}").split()
    assert f"lenet_trained_{CYCLES}.safetensors" in pushed.device.shell(f"ls {ROOT}/output")


def test_a_second_run_sends_under_a_hundredth(pushed: Pushed, target: AdbTarget) -> None:
    size = read_manifest(pushed.package / "manifest.json").size_bytes
    # Another learning rate is an option of the runner: nothing of the package changes.
    again = pushed.invoke("train", "--cycles", "1", "--learning-rate", "0.01")
    assert again.code == 0, again.stderr
    assert target.push(pushed.package, nothing) < size / 100


def test_modules_are_compiled_once_until_files_change(pushed: Pushed, target: AdbTarget) -> None:
    assert target.run("eval_untrained.sh", [], lambda line: None) == 0
    times = f"find {ROOT}/cache/python -name '*.pyc' -exec stat -c '%n %y' {{}} +"
    compiled = pushed.device.shell(times)
    assert "/device_runtime/runner." in compiled
    assert target.run("eval_untrained.sh", [], lambda line: None) == 0
    assert pushed.device.shell(times) == compiled
    pushed.device.shell(f"echo damaged >{ROOT}/device_runtime/runner.py")
    target.push(pushed.package, nothing)
    assert pushed.device.shell(f"ls {ROOT}/cache") == "checked.json\n"
    assert target.run("eval_untrained.sh", [], lambda line: None) == 0


def test_changed_and_removed_files_follow(pushed: Pushed, target: AdbTarget) -> None:
    pushed.device.shell(f"echo damaged >{ROOT}/train.sh; echo more >{ROOT}/model/model.json")
    assert target.push(pushed.package, nothing) < 2**20
    assert pushed.device.shell(f"cat {ROOT}/train.sh") == (pushed.package / "train.sh").read_text()


def test_a_training_goes_on_from_a_checkpoint_on_the_device(pushed: Pushed) -> None:
    assert pushed.invoke("train", "--cycles", "3").code == 0
    again = pushed.invoke("train", "--cycles", "2", "--checkpoint", "lenet_trained_3.safetensors")
    assert again.code == 0, again.stderr
    assert "lenet_trained_5.safetensors" in pushed.device.shell(f"ls {ROOT}/output")


def test_the_state_dict_starts_another_training_there(pushed: Pushed, tmp_path: Path) -> None:
    dataset, state = next(pushed.build.glob("dataset-*")), pushed.run.results / "lenet_state_dict.safetensors"
    again = pushed.invoke("run", "--weights", state, "--cycles", "3")
    assert again.code == 0, again.stderr
    assert again.accuracies[0] == pushed.run.accuracies[-1]
    last = lenet_accuracy(again.results / "lenet_state_dict.safetensors", dataset)
    assert last == pytest.approx(again.accuracies[-1], abs=5e-4)


@pytest.mark.usefixtures("target")
def test_the_first_push_of_lenet_and_the_sample_for_arm64_takes_at_most_30_mb(pushed: Pushed) -> None:
    made = invoke("package", "--target", "arm64", "--build", pushed.build)
    assert made.code == 0, made.stderr
    # How much is sent depends on the package alone, and how it is unpacked on Android's tools.
    with emulated_device(Hardware(NEWEST, "x86_64"), beside=pushed.device) as device:
        there = AdbTarget(Adb(device.serial), ARM64)
        assert there.push(pushed.build / "package-arm64", nothing) <= 30 * 10**6
