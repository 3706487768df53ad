"""Real adb servers: the one that adbutils carries, one that is killed, and devices that one of them lost."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.errors import TargetError
from pipeline.machine.ports import free_port
from pipeline.packing.abi import ARM64
from pipeline.packing.runtime import PACKAGING
from pipeline.targets.adb import server
from pipeline.targets.adb.adb import Adb, ConnectionLost
from pipeline.targets.adb.choosing import choose
from pipeline.targets.adb.emulated import Emulated, forget, register
from pipeline.targets.adb.parse import Address
from pipeline.targets.device import AdbTarget
from tests.emulator import processes
from tests.emulator.device import EmulatedDevice, emulated_device
from tests.emulator.faults import state
from tests.emulator.parts import SERVER_ENVIRONMENT, start_relay, wait_until
from tests.invoking import ROOT
from tests.pipeline.targets.stand_in import make_package

LINES = "i=0; while [ $i -lt 6 ]; do i=$((i + 1)); echo line $i; sleep 1; done; exit 5\n"


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Address]:
    """Where an adb server is looked for: none listens there, no adb is on PATH, and this machine's phones are not seen.

    What was started there is ended.
    """
    address = Address("127.0.0.1", free_port())
    monkeypatch.setattr("pipeline.targets.adb.parse.DEFAULT_ADDRESS", (address.host, str(address.port)))
    for name in ("ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_HOST", "ANDROID_ADB_SERVER_PORT", "ANDROID_SERIAL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**SERVER_ENVIRONMENT, "HOME": str(tmp_path), "PATH": "/nonexistent"}.items():
        monkeypatch.setenv(name, value)
    yield address
    end(address)
    assert not server.listens(address)


@pytest.fixture
def own_device(emulator: EmulatedDevice) -> Iterator[EmulatedDevice]:
    """A device whose server may be killed: that of the session is for all tests."""
    with emulated_device() as device:
        yield device
    assert not server.listens(Address("127.0.0.1", device.adb_server_port))


def end(address: Address) -> None:
    with suppress(TargetError):
        server.ask(address, "host:kill")
    deadline = time.monotonic() + 10
    while server.listens(address) and time.monotonic() < deadline:
        time.sleep(0.1)


def kill_server(device: EmulatedDevice) -> None:
    running = processes.running(device.ledger, "server")
    assert running
    processes.end(running)


def test_without_adb_on_path_the_one_that_adbutils_carries_is_started(
    alone: Address, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(TargetError, match="adb sees no device"):
        choose(None)
    line = capsys.readouterr().err
    assert line.startswith(f"no adb server was on port {alone.port}: /")
    assert line.endswith("/adbutils/binaries/adb started one\n")
    # One that answers is left alone.
    with pytest.raises(TargetError, match="adb sees no device"):
        choose(None)
    assert capsys.readouterr().err == ""


@pytest.mark.emulator
def test_an_emulated_device_that_runs_is_found_without_any_variable(emulator: EmulatedDevice, alone: Address) -> None:
    register("default", Emulated(emulator.serial, emulator.adb_server_port))
    # As another process would, but for the port that is adb's by default.
    program = f"from pipeline.targets.adb import parse; parse.DEFAULT_ADDRESS = ('{alone.host}', '{alone.port}'); "
    program += "from invoke.main import program; program.run(['invoke', 'status'])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "none\n"), done.stderr
    assert f"adb sees no device but the emulated {emulator.serial}: it is used" in done.stderr
    assert choose(emulator.serial).execute("echo up").text == "up\n"
    with pytest.raises(TargetError, match=rf"no device '127\.0\.0\.1:1' on .* --serial {emulator.serial} "):
        choose("127.0.0.1:1")
    forget("default")
    with pytest.raises(TargetError, match=r"adb sees no device: .* `invoke emulator\.start` in a checkout starts one"):
        choose(None)


@pytest.mark.emulator
def test_the_environment_wins_and_is_told_where_the_emulated_device_is(
    emulator: EmulatedDevice, alone: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    register("default", Emulated(emulator.serial, emulator.adb_server_port))
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(alone.port))
    message = rf"adb sees no device on port {alone.port}: .* --serial {emulator.serial} and leave .* unset"
    with pytest.raises(TargetError, match=message):
        choose(None)


def test_what_a_device_left_that_no_longer_runs_is_no_device(alone: Address, tmp_path: Path) -> None:
    register("default", Emulated(f"127.0.0.1:{free_port()}", free_port()))
    folder = tmp_path / ".cache" / "train-on-device" / "emulated"
    (folder / "damaged.json").write_text("{")
    (folder / "other.json").write_text(json.dumps({"serial": "phone", "adb_server_port": 1}))
    with pytest.raises(TargetError, match=r"adb sees no device: .* `invoke emulator\.start` in a checkout starts one"):
        choose(None)


@pytest.mark.emulator
def test_a_call_goes_on_after_the_server_was_killed(
    own_device: EmulatedDevice, alone: Address, capsys: pytest.CaptureFixture[str]
) -> None:
    device = Adb(own_device.serial, Address("127.0.0.1", own_device.adb_server_port))
    killer = threading.Timer(1, kill_server, [own_device])
    killer.start()
    with pytest.raises(ConnectionLost, match="went away during"):
        device.execute("echo begun; sleep 20", timeout_s=30, live=True)
    killer.join()
    device.reconnect(30)
    assert device.execute("echo again").text == "again\n"
    assert capsys.readouterr().err.count(f"no adb server was on port {own_device.adb_server_port}: /") == 1


@pytest.mark.emulator
def test_a_followed_job_goes_on_after_the_server_was_killed(
    own_device: EmulatedDevice, alone: Address, tmp_path: Path
) -> None:
    device = Adb(own_device.serial, Address("127.0.0.1", own_device.adb_server_port))
    target, lines = AdbTarget(device, ARM64), list[str]()
    files: dict[str, str | bytes] = {"job.sh": (PACKAGING / "job.sh").read_bytes(), "eval.sh": LINES}
    target.push(make_package(tmp_path / "package", files), lambda done, total: None)
    killer = threading.Timer(2, kill_server, [own_device])
    killer.start()
    assert target.run("eval.sh", [], lines.append) == 5
    assert lines == [f"line {number}" for number in range(1, 7)]
    assert not killer.is_alive()


@pytest.mark.emulator
def test_a_device_whose_server_was_killed_is_chosen_all_the_same(own_device: EmulatedDevice, alone: Address) -> None:
    register(own_device.name, Emulated(own_device.serial, own_device.adb_server_port))
    kill_server(own_device)
    assert choose(None).execute("echo up").text == "up\n"


@pytest.mark.emulator
def test_a_device_that_the_server_lost_is_chosen_all_the_same(
    own_device: EmulatedDevice, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(own_device.adb_server_port))
    for described in ("offline", "not connected"):
        relay = processes.running(own_device.ledger, "relay")
        assert relay
        processes.end(relay)
        wait_until(own_device, lambda: state(own_device) == "offline")
        if described == "not connected":
            own_device.adb("disconnect", own_device.serial)
        start_relay(own_device)
        started = time.monotonic()
        assert choose(own_device.serial).execute("echo up").text == "up\n"
        # By itself the server tries every 10 s.
        assert time.monotonic() - started < 5
        said = f"{own_device.serial} was {described}: connected to {own_device.serial}\n"
        assert said in capsys.readouterr().err
