"""A device that is not fit, not ready or not there is named, and nothing half pushed stays on it."""

from __future__ import annotations

import contextlib

import pytest

from pipeline.errors import TargetError
from pipeline.packing.abi import X86_64
from pipeline.targets.adb.adb import Adb
from pipeline.targets.device import connect
from tests.emulator.device import EmulatedDevice, Hardware, emulated_device
from tests.emulator.faults import frozen, gone, unauthorized, unplugged
from tests.invoking import invoke
from tests.x86_device.packaged import Packaged, nothing

pytestmark = [pytest.mark.emulator, pytest.mark.slow]


def refused(packaged: Packaged, device: EmulatedDevice) -> str:
    run = packaged.invoke("run", device=device)
    assert run.code == 8
    assert "Traceback" not in run.stderr
    return run.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("hardware", "message"),
    [
        (Hardware(abi="x86_64", disk_bytes=40 * 2**20), "has no space in /data/local/tmp: 8"),
        (Hardware(abi="x86_64", executable=False), "does not execute programs"),
    ],
    ids=["space", "noexec"],
)
def test_an_unfit_device_is_named_and_left_clean(packaged: Packaged, hardware: Hardware, message: str) -> None:
    with emulated_device(hardware, beside=packaged.device) as device:
        assert message in refused(packaged, device)
        assert device.shell("ls -A /data/local/tmp") == ""


@pytest.mark.usefixtures("target")
def test_a_disk_that_fills_up_in_the_push_is_left_clean(packaged: Packaged, monkeypatch: pytest.MonkeyPatch) -> None:
    # The free space that is asked for before the push shrinks while it runs: here it is not looked at.
    monkeypatch.setattr("pipeline.targets.adb.push._check_space", lambda adb, root, size_bytes: None)
    with emulated_device(Hardware(abi="x86_64", disk_bytes=40 * 2**20), beside=packaged.device) as device:
        with pytest.raises(TargetError, match="disk is full"):
            connect(device.serial, X86_64).push(packaged.package, nothing)
        assert device.shell("ls -A /data/local/tmp") == ""


@pytest.mark.usefixtures("target")
def test_a_device_that_goes_away_during_the_push_is_named_and_can_be_pushed_to_again(packaged: Packaged) -> None:
    with emulated_device(Hardware(abi="x86_64"), beside=packaged.device) as device, contextlib.ExitStack() as cut:
        other = connect(device.serial, X86_64)
        pulled: list[int] = []

        def pull_the_cable(done: int, total: int) -> None:
            if done > total / 2 and not pulled:
                pulled.append(done)
                cut.enter_context(gone(device))

        with pytest.raises(TargetError, match=r"went away during `cd .*plug it in again"):
            other.push(packaged.package, pull_the_cable)
        cut.close()
        assert other.push(packaged.package, nothing) > 2**20
        assert device.shell("ls -A /data/local/tmp/train-on-device") == "package-x86-device\n"


@pytest.mark.usefixtures("target")
def test_a_device_that_does_not_answer_is_named_with_the_call(packaged: Packaged) -> None:
    device = Adb(packaged.device.serial)
    with frozen(packaged.device), pytest.raises(TargetError, match="did not answer `echo hello` within 3 s"):
        device.execute("echo hello", timeout_s=3)
    assert device.execute("echo hello").text == "hello\n"


def test_several_devices_ask_for_a_serial(packaged: Packaged) -> None:
    with emulated_device(Hardware(abi="x86_64"), beside=packaged.device) as device:
        run = invoke("status", env={**packaged.env, "ANDROID_SERIAL": ""})
        assert run.code == 8
        assert "choose one with --serial" in run.stderr
        assert device.serial in run.stderr


def test_unready_devices_are_named(packaged: Packaged) -> None:
    with unauthorized(packaged.device) as serial:
        run = invoke("status", "--serial", serial, env=packaged.env)
        assert run.code == 8
        assert f"{serial} is unauthorized: confirm the key" in run.stderr
    with unplugged(packaged.device):
        assert "is offline" in refused(packaged, packaged.device)
    with gone(packaged.device):
        assert "adb sees no device" in refused(packaged, packaged.device)


def test_no_server_and_no_adb_is_named() -> None:
    lacking = {"PATH": "/nonexistent", "ADBUTILS_ADB_PATH": "/nonexistent/adb"}
    run = invoke("status", env={"ANDROID_ADB_SERVER_PORT": "1", **lacking})
    assert run.code == 8
    assert "the adb server could not be started: the program '/nonexistent/adb' is not on this machine" in run.stderr
