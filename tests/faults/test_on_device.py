"""Faults of a run on a device, the emulated one: of its processes, its cable, its disk, and of the host.

The device is the one of x86-64, which trains at full speed: nothing here depends on what its programs are made for.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from device_runtime.formats.metrics import Record, read_metrics
from pipeline.errors import TargetError
from pipeline.packing.abi import X86_64
from pipeline.targets.adb.places import receive
from pipeline.targets.device import AdbTarget, connect
from tests.device_runtime.interrupted import flip_bits
from tests.emulator.android import OLDEST
from tests.emulator.device import EmulatedDevice, Hardware, emulated_device
from tests.emulator.faults import gone, kill_server, reboot, restart_adbd
from tests.emulator.parts import SERVER_ENVIRONMENT
from tests.faults.table import Tried
from tests.faults.training import WAIT_S, Host, check_as_if_nothing_had_been, curve, lost, wait_for
from tests.invoking import invoke

pytestmark = [pytest.mark.emulator, pytest.mark.slow]

OPTIONS = ("--cycles", "3000", "--save-every", "250", "--augment", "crop", "--schedule", "cosine", "--threads", "1")
ROOT = Path("train-on-device") / "package-x86-device"
HARDWARE = Hardware(android=OLDEST, abi="x86_64")


@pytest.fixture(scope="module")
def device(may_emulate: None) -> Iterator[EmulatedDevice]:
    """A device, and an adb server, that no other tests share: they are killed here."""
    with emulated_device(HARDWARE) as device:
        yield device


@pytest.fixture(scope="module")
def host(device: EmulatedDevice, made_of: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Host:
    return host_of(device, tmp_path_factory.mktemp("device"), made_of)


def host_of(device: EmulatedDevice, folder: Path, made_of: tuple[str, ...]) -> Host:
    # With these also a server that the pipeline starts sees no other devices.
    env = {**SERVER_ENVIRONMENT, **device.env}
    output = device.data / ROOT / "output"
    return Host(folder / "build", folder / "runs", "x86", output, made_of, OPTIONS, env)


@pytest.fixture(scope="module")
def whole(host: Host) -> Path:
    """Results of a run that nothing happened to."""
    return host.invoke("run").results


@pytest.fixture(autouse=True)
def nothing_before(device: EmulatedDevice, whole: Path) -> None:
    """What the test before left has been pulled."""
    device.shell(f"rm -rf /data/local/tmp/{ROOT}/output")


@pytest.fixture
def target(host: Host, device: EmulatedDevice, whole: Path, monkeypatch: pytest.MonkeyPatch) -> AdbTarget:
    for name, value in host.env.items():
        monkeypatch.setenv(name, value)
    return connect(device.serial, X86_64)


def signal_runner(device: EmulatedDevice, name: str) -> None:
    own = "grep -q '[d]evice_runtime' $p/cmdline 2>/dev/null"
    device.shell(f"for p in /proc/[0-9]*; do {own} && kill -{name} ${{p#/proc/}}; done; true")


def test_the_runner_killed_at_three_random_moments(
    host: Host, device: EmulatedDevice, whole: Path, tried: Tried
) -> None:
    moments, costs = random.Random(13), []
    for task, *words in (("train",), ("train", "--resume"), ("run", "--resume")):
        before = host.steps()
        with host.started(task, *words) as run:
            host.wait_for_steps(before + moments.randrange(1, 600))
            signal_runner(device, "KILL")
            assert run.wait(240) == 9
        costs.append(since_checkpoint(host.records()))
    results = host.invoke("run", "--resume").results
    check_as_if_nothing_had_been(host, results, whole)
    tried("device runner", f"{costs[0]}, {costs[1]} and {costs[2]} steps since the last checkpoint")


def since_checkpoint(records: Sequence[Record]) -> int:
    last = {"step": 0, "checkpoint": 0} | {r["event"]: r["step"] for r in records if "step" in r}
    return int(last["step"] - last["checkpoint"])


def named(host: Host) -> str:
    """The options that lead to the device."""
    return f"--target x86 --serial {host.env['ANDROID_SERIAL']}"


def kill_the_job(device: EmulatedDevice) -> None:
    device.shell(f"kill -KILL -- -$(cat /data/local/tmp/{ROOT}/job/pid)")


@pytest.mark.parametrize(("name", "kill"), [("device job", kill_the_job), ("device reboot", reboot)])
def test_the_job_killed(
    host: Host, device: EmulatedDevice, whole: Path, name: str, kill: Callable[[EmulatedDevice], None], tried: Tried
) -> None:
    with host.started("train") as run:
        host.wait_for_steps(600)
        kill(device)
        assert run.wait(240) == 8
        assert run.stderr
        assert f"`invoke run {named(host)} --resume` goes on" in run.stderr.read().splitlines()[-1]
    killed = host.records()
    results = host.invoke("run", "--resume").results
    check_as_if_nothing_had_been(host, results, whole)
    tried(name, lost(killed, results))


def pull_the_cable(device: EmulatedDevice) -> None:
    with gone(device):
        time.sleep(5)


CONNECTION = {"server": kill_server, "adbd": restart_adbd, "cable": pull_the_cable}


@pytest.mark.parametrize("name", CONNECTION)
def test_the_connection_breaks_at_each_stage(
    host: Host,
    device: EmulatedDevice,
    target: AdbTarget,
    whole: Path,
    tmp_path: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    tried: Tried,
) -> None:
    break_it = Breaker(partial(CONNECTION[name], device))
    device.shell(f"rm -rf /data/local/tmp/{ROOT}/model")
    target.push(host.package, lambda done, total: break_it("push"))
    break_it.over("push")
    tried(f"device {name} pushing", "nothing")
    job = threading.Thread(target=target.run, args=("train.sh", OPTIONS, lambda line: None))
    job.start()
    host.wait_for_steps(400)
    break_it("train")
    job.join(240)
    assert not job.is_alive()
    break_it.over("train")
    tried(f"device {name} training", "nothing")

    def breaking(*arguments: Any) -> None:
        break_it("pull")
        receive(*arguments)

    monkeypatch.setattr("pipeline.targets.adb.pull.receive", breaking)
    target.pull(tmp_path)
    check_as_if_nothing_had_been(host, tmp_path, whole)
    break_it.over("pull")
    tried(f"device {name} pulling", "nothing")


class Breaker:
    """Does something to the device once in each stage, while that goes on."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._made: dict[str, threading.Thread] = {}

    def __call__(self, stage: str) -> None:
        if stage not in self._made:
            self._made[stage] = threading.Thread(target=self._call)
            self._made[stage].start()

    def over(self, stage: str) -> None:
        """Returns when it has been done."""
        self._made[stage].join(120)


def test_the_device_is_away_for_longer_than_the_host_waits(
    host: Host,
    device: EmulatedDevice,
    target: AdbTarget,
    whole: Path,
    capsys: pytest.CaptureFixture[str],
    tried: Tried,
) -> None:
    target.away_s = 3.0
    ended: list[str] = []

    def train() -> None:
        with pytest.raises(TargetError, match="did not come back within 3 s") as told:
            target.run("train.sh", OPTIONS, lambda line: None)
        ended.append(str(told.value))

    job = threading.Thread(target=train)
    job.start()
    host.wait_for_steps(400)
    with gone(device):
        job.join(WAIT_S)
    [said] = ended
    assert f"`invoke attach` shows it, `invoke run {named(host)} --resume` goes on" in said
    assert "what runs there goes on (Ctrl-C leaves it running)" in capsys.readouterr().err
    assert invoke("attach", env=dict(host.env)).stdout.splitlines()[-1].startswith("accuracy = ")
    results = host.invoke("run", "--resume").results
    check_as_if_nothing_had_been(host, results, whole)
    tried("device away", lost([], results))


def test_the_host_killed_while_it_pushes(host: Host, device: EmulatedDevice, whole: Path, tried: Tried) -> None:
    device.shell(f"rm -rf /data/local/tmp/{ROOT}")
    staging = device.data / f"{ROOT}.new"
    with host.started("run") as run:
        wait_for(lambda: staging.exists() and len(list(staging.rglob("*"))) > 50)
        run.kill()
    results = host.invoke("run").results
    check_as_if_nothing_had_been(host, results, whole)
    tried("device host pushing", "nothing")


def test_the_host_killed_while_the_device_trains(host: Host, device: EmulatedDevice, whole: Path, tried: Tried) -> None:
    with host.started("train") as run:
        host.wait_for_steps(400)
        run.kill()
    results = host.invoke("run", "--resume").results
    check_as_if_nothing_had_been(host, results, whole)
    tried("device host training", lost([], results))


def test_the_host_killed_while_it_pulls(host: Host, device: EmulatedDevice, whole: Path, tried: Tried) -> None:
    with host.started("run") as run:
        wait_for(lambda: any(host.runs.glob(".*/*.safetensors")))
        run.kill()
    results = host.invoke("run", "--resume").results
    check_as_if_nothing_had_been(host, results, whole)
    tried("device host pulling", lost([], results))


def test_the_host_killed_and_then_another_training(
    host: Host, device: EmulatedDevice, target: AdbTarget, whole: Path, tmp_path: Path, tried: Tried
) -> None:
    runs = set(host.runs.iterdir())
    with host.started("train") as run:
        host.wait_for_steps(400)
        # It would have ended before the other host has built its package.
        signal_runner(device, "STOP")
        run.kill()
    told = replace(host, build=tmp_path).invoke("run", "--cycles", "3", code=8)
    assert "runs a job: `invoke attach` shows it" in told.stderr
    tried("device two hosts", "nothing")
    signal_runner(device, "CONT")
    wait_for(lambda: not target.running())
    other = host.invoke("run", "--cycles", "3")
    [first] = {path for path in set(host.runs.iterdir()) - runs if path != other.results}
    assert f"its results are in {first}" in other.stderr
    check_as_if_nothing_had_been(host, first, whole)
    assert [step for step, _ in curve(other.results)] == [1, 2, 3]
    tried("device host other", "nothing")


def test_what_a_killed_training_left_on_the_device_is_damaged(
    host: Host, device: EmulatedDevice, whole: Path, tried: Tried
) -> None:
    with host.started("train") as train:
        host.wait_for_steps(850)
        signal_runner(device, "KILL")
        assert train.wait(240) == 9
    killed = host.records()
    flip_bits(max(host.output.glob("*.safetensors"), key=lambda path: path.stat().st_mtime_ns))
    flip_bits(host.output.parent / "model" / "train_step.onnx")
    results = host.invoke("run", "--resume").results
    check_as_if_nothing_had_been(host, results, whole)
    tried("device checkpoint", lost(killed, results))
    tried("device package", lost(killed, results))


@pytest.fixture
def small(device: EmulatedDevice) -> Iterator[EmulatedDevice]:
    """A device on whose disk a package and little more have room."""
    with emulated_device(replace(HARDWARE, disk_bytes=110 * 2**20), beside=device) as small:
        yield small


def fill(device: EmulatedDevice) -> None:
    """Fills its disk."""
    device.shell("cat /dev/zero >/data/local/tmp/fill 2>/dev/null || :", timeout_s=120)


def test_a_full_disk_in_pushing_and_in_training(
    host: Host, small: EmulatedDevice, whole: Path, monkeypatch: pytest.MonkeyPatch, tried: Tried
) -> None:
    there = replace(host, env={**host.env, "ANDROID_SERIAL": small.serial})
    for name, value in there.env.items():
        monkeypatch.setenv(name, value)
    filled = Breaker(partial(fill, small))
    with pytest.raises(TargetError, match="disk is full"):
        connect(small.serial, X86_64).push(host.package, lambda done, total: filled("push"))
    assert small.shell("ls -A /data/local/tmp") == "fill\n"
    assert re.search("has no space in|its disk is full", there.invoke("run", code=8).stderr)
    small.shell("rm /data/local/tmp/fill")
    output = f"/data/local/tmp/{ROOT}/output"
    with there.started("run") as run:
        wait_for(lambda: "tiny_trained_250.safetensors" in small.shell(f"ls {output} 2>/dev/null || :"))
        fill(small)
        assert run.wait(240) == 9
        assert run.stderr
        assert "No space left on device" in run.stderr.read()
    tried("device disk pushing", "nothing")
    reached = small.shell(f"cat {output}/metrics.jsonl").count('"event": "step"')
    small.shell("rm /data/local/tmp/fill")
    results = there.invoke("run", "--resume").results
    check_as_if_nothing_had_been(there, results, whole)
    [resumed] = [record["step"] for record in read_metrics(results) if record["event"] == "resume"]
    tried("device disk training", f"{reached - resumed} steps since the checkpoint of step {resumed}")
