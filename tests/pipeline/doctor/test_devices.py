"""Tasks on real devices: what they are, what they lack, what was left there."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from pipeline.doctor.adb import examine
from pipeline.doctor.finding import State
from pipeline.machine.ports import free_port
from pipeline.packing.abi import ARM64
from pipeline.packing.runtime import PACKAGING
from pipeline.settings import Settings
from pipeline.targets.adb import server
from pipeline.targets.adb.adb import Adb
from pipeline.targets.adb.parse import Address
from pipeline.targets.adb.push import push
from pipeline.targets.device import AdbTarget, package_on_device
from tests.emulator.device import EmulatedDevice, Hardware, emulated_device
from tests.emulator.faults import frozen, unauthorized
from tests.emulator.parts import SERVER_ENVIRONMENT
from tests.invoking import Invoked, invoke
from tests.pipeline.targets.adb.test_server import end
from tests.pipeline.targets.stand_in import make_package

ROOT = package_on_device(ARM64)

pytestmark = pytest.mark.emulator

FILES: dict[str, str | bytes] = {
    "job.sh": (PACKAGING / "job.sh").read_bytes(),
    "train.sh": "trap 'exit 143' TERM; sleep 300 & wait\n",
    "eval.sh": 'cd "$(dirname "$0")"; mkdir -p output; echo \'{}\' >output/metrics.jsonl\n',
    "model/weights": Random(1).randbytes(2_000_000),
}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package whose training does nothing, for long."""
    return make_package(tmp_path_factory.mktemp("package"), FILES)


@pytest.fixture
def pushed(emulator: EmulatedDevice, package: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AdbTarget]:
    """The device with that package, and nothing of ours on it after the test."""
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(emulator.adb_server_port))
    monkeypatch.delenv("ADB_SERVER_SOCKET", raising=False)
    device = Adb(emulator.serial)
    push(device, package, ROOT, lambda done, total: None)
    target = AdbTarget(device, ARM64)
    yield target
    if target.running():
        target.stop()
    emulator.shell("rm -rf /data/local/tmp/*")


def on(device: EmulatedDevice, *words: str) -> Invoked:
    env = {"ANDROID_ADB_SERVER_PORT": str(device.adb_server_port), "ANDROID_SERIAL": "", "ADB_SERVER_SOCKET": ""}
    return invoke(*words, env=env)


def lines_of(doctor: Invoked, state: str) -> list[str]:
    return [line.strip().partition("  ")[2].strip() for line in doctor.stdout.splitlines() if f"  {state} " in line]


@pytest.fixture
def server_of(emulator: EmulatedDevice, monkeypatch: pytest.MonkeyPatch) -> EmulatedDevice:
    """The device, whose server is the one that is asked."""
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(emulator.adb_server_port))
    for name in ("ADB_SERVER_SOCKET", "ANDROID_SERIAL"):
        monkeypatch.delenv(name, raising=False)
    return emulator


def said(state: State, serial: str | None = None) -> list[str]:
    """What the doctor says of adb and devices when a run on a device is asked about."""
    findings = examine(Settings(target="arm64", serial=serial), ARM64, needed=True)
    return [finding.said for finding in findings if finding.state is state]


def start(target: AdbTarget) -> None:
    """Starts train.sh as a run does, and does not follow it."""
    started = target._adb.execute(f"sh {ROOT}/job.sh start token train.sh")
    assert started.code == 0, started


def test_a_device_is_a_row_of_the_table(emulator: EmulatedDevice) -> None:
    listed = on(emulator, "devices")
    assert listed.code == 0, listed.stderr
    headings, row = listed.stdout.splitlines()
    assert headings.split() == ["serial", "model", "system", "ABI", "cores", "memory", "free", "battery", "runs"]
    assert row.startswith(emulator.serial)
    for cell in ("Android 8.0.0 (API 26)", "arm64-v8a", "100 %, 27 °C, plugged in", "nothing"):
        assert cell in row


def test_a_device_of_adb_shows_what_it_runs(emulator: EmulatedDevice, pushed: AdbTarget) -> None:
    start(pushed)
    found = json.loads(on(emulator, "devices", "--json").stdout)
    [device] = found
    assert device["serial"] == emulator.serial
    assert device["now"]["jobs"] == [{"package": "package-arm64", "status": "running train.sh"}]
    assert device["now"]["used_bytes"] > 2_000_000
    assert device["now"]["lacks"] == []
    assert on(emulator, "devices").stdout.splitlines()[1].endswith("train.sh")


def test_a_device_that_cannot_be_asked_is_in_the_table_with_what_to_do(
    emulator: EmulatedDevice, server_of: EmulatedDevice
) -> None:
    with unauthorized(emulator) as serial:
        listed = on(emulator, "devices")
        assert listed.code == 0
        [row] = [line for line in listed.stdout.splitlines() if line.startswith(serial)]
        assert row.split() == [serial, "unauthorized"]
        assert f"{serial} is unauthorized: confirm the key of this computer" in listed.stderr
        [several] = said(State.FIX)
        assert "several devices: choose one with --serial" in several
        assert [line for line in said(State.NOTE) if line.startswith(f"{serial} is unauthorized")]
        # One line, though the device cannot be chosen and cannot be asked.
        [unauthorized_one] = said(State.FIX, serial)
        assert unauthorized_one.startswith(f"{serial} is unauthorized")


def test_without_a_device_one_line_says_how_to_connect_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Somebody's emulated device, which his own home knows, may run.
    monkeypatch.setenv("HOME", str(tmp_path))
    address = Address("127.0.0.1", free_port())
    env = {"ANDROID_ADB_SERVER_PORT": str(address.port), "ANDROID_SERIAL": "", "ADB_SERVER_SOCKET": ""}
    for name, value in {**env, **SERVER_ENVIRONMENT}.items():
        monkeypatch.setenv(name, value)
    try:
        # For a run on this machine no server is started.
        here = examine(Settings(), ARM64, needed=False)
        assert not server.listens(address)
        assert [finding.said for finding in here][1:] == ["no device was looked for: `invoke devices` does"]
        listed = invoke("devices")
        assert (listed.code, listed.stdout) == (0, ""), listed.stderr
        started, advice = listed.stderr.splitlines()
        assert started.endswith("started one")
        assert advice.startswith("adb sees no device: connect one with USB debugging on")
        assert said(State.FIX) == [advice]
    finally:
        end(address)


def test_an_adb_server_that_hangs_is_named_with_what_mends_it(
    server_of: EmulatedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(listener.getsockname()[1]))
        [hangs] = examine(Settings(), ARM64, needed=False)
    assert hangs.state is State.NOTE
    assert "does not answer" in hangs.said and "`adb kill-server`" in hangs.said


def test_a_device_that_can_run_is_ok_in_every_line(emulator: EmulatedDevice) -> None:
    doctor = on(emulator, "doctor", "--target", "arm64")
    assert doctor.code == 0, doctor.stdout
    assert any(line.startswith(f"{emulator.serial}: ") and "arm64-v8a" in line for line in lines_of(doctor, "ok"))
    assert lines_of(doctor, "fix") == []
    assert doctor.stdout.splitlines()[-1] == "`invoke run --target arm64` can start"


def test_what_a_device_lacks_is_named(emulator: EmulatedDevice, server_of: EmulatedDevice) -> None:
    small = Hardware(abi="armeabi-v7a", disk_bytes=20 * 2**20, executable=False)
    with emulated_device(small, beside=emulator) as device:
        missing = said(State.FIX, device.serial)
        assert any(f"{device.serial} is armeabi-v7a" in line for line in missing)
        assert any("MiB free in /data/local/tmp" in line for line in missing)


def test_a_device_that_stands_still_is_not_waited_for(emulator: EmulatedDevice) -> None:
    with frozen(emulator):
        listed = on(emulator, "devices")
        assert listed.code == 0
        assert listed.stdout.splitlines()[1].split() == [emulator.serial, "no", "answer"]
        assert "did not answer" in listed.stderr


def test_a_job_keeps_the_device_from_being_cleaned(emulator: EmulatedDevice, pushed: AdbTarget) -> None:
    start(pushed)
    assert said(State.FIX) == [f"{emulator.serial} runs train.sh of package-arm64"]
    cleaned = on(emulator, "clean", "--target", "arm64", "--force")
    assert cleaned.code == 8
    assert "`invoke stop` ends it" in cleaned.stderr
    assert pushed.running()


def test_clean_removes_what_runs_left_and_nothing_else(emulator: EmulatedDevice, pushed: AdbTarget) -> None:
    emulator.shell("cd /data/local/tmp && touch .probe-0123abcd && echo mine >notes && mkdir other")
    emulator.shell("cd /data/local/tmp && echo kept >other/file && ln -s /data/local/tmp/other train-on-device/link")
    assert pushed.run("eval.sh", [], print) == 0
    # The default target is another than this device.
    refused = on(emulator, "clean", "--serial", emulator.serial)
    assert refused.code == 8
    advice = f"`invoke pull --target arm64 --serial {emulator.serial}`"
    assert f"{emulator.serial} holds results that nobody pulled: {advice}" in refused.stderr
    cleaned = on(emulator, "clean", "--target", "arm64", "--force")
    assert cleaned.code == 0, cleaned.stderr
    assert cleaned.stdout.startswith(f"removed /data/local/tmp/train-on-device from {emulator.serial}: 2 MB freed")
    assert emulator.shell("cd /data/local/tmp && ls -a . other").split() == [
        *(".:", ".", "..", "notes", "other", "other:", ".", "..", "file")
    ]
    again = on(emulator, "clean", "--target", "arm64")
    assert (again.code, again.stdout) == (0, f"nothing of ours is on {emulator.serial}\n")
