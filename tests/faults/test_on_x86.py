"""Faults of a run on this machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest

from device_runtime.formats.metrics import Record, read_metrics
from tests.device_runtime.interrupted import flip_bits
from tests.emulator.processes import children
from tests.faults.table import Tried
from tests.faults.training import Host, check_as_if_nothing_had_been, curve, lost, wait_for

pytestmark = pytest.mark.slow

# As many threads in all of them: the last bits depend on it.
OPTIONS = ("--cycles", "3000", "--save-every", "250", "--augment", "crop", "--schedule", "cosine", "--threads", "1")


@pytest.fixture(scope="module")
def host(made_of: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Host:
    folder = tmp_path_factory.mktemp("x86")
    build = folder / "build"
    return Host(build, folder / "runs", "x86", build / "package-x86" / "output", made_of, OPTIONS)


@pytest.fixture(scope="module")
def whole(host: Host) -> Path:
    """Results of a run that nothing happened to."""
    return host.invoke("run").results


@pytest.fixture(autouse=True)
def nothing_before(host: Host, whole: Path) -> None:
    """What the test before left has been pulled."""
    shutil.rmtree(host.output)


@pytest.fixture
def killed(host: Host, whole: Path) -> list[Record]:
    """What a training had recorded whose runner was killed."""
    with host.started("train") as task:
        host.wait_for_steps(600)
        os.kill(children(task.pid)[0], signal.SIGKILL)
        assert task.wait(60) == 9
    return host.records()


def test_a_killed_runner(host: Host, whole: Path, killed: list[Record], tried: Tried) -> None:
    results = host.invoke("run", "--resume").results
    check_as_if_nothing_had_been(host, results, whole)
    tried("x86 runner", lost(killed, results))


def test_a_killed_host_in_training(host: Host, whole: Path, tried: Tried) -> None:
    with host.started("run") as task:
        host.wait_for_steps(600)
        runner = children(task.pid)
        task.kill()
        task.wait()
    wait_for(lambda: not any(Path("/proc", str(pid)).exists() for pid in runner))
    before = host.records()
    results = host.invoke("run", "--resume").results
    check_as_if_nothing_had_been(host, results, whole)
    tried("x86 host training", lost(before, results))


def test_a_killed_host_in_the_last_evaluation(host: Host, whole: Path, tried: Tried) -> None:
    with host.started("run") as task:
        wait_for(lambda: any(record["event"] == "end" for record in host.records()))
        task.kill()
    before = host.records()
    results = host.invoke("run", "--resume").results
    check_as_if_nothing_had_been(host, results, whole)
    tried("x86 host evaluating", lost(before, results))


def test_a_killed_host_and_then_another_training(host: Host, whole: Path, killed: list[Record], tried: Tried) -> None:
    runs = set(host.runs.iterdir())
    other = host.invoke("run", "--cycles", "30").results
    assert [step for step, _ in curve(other)] == list(range(1, 31))
    [first] = set(host.runs.iterdir()) - runs - {other}
    assert host.invoke("run", "--resume", first.name).results == first
    check_as_if_nothing_had_been(host, first, whole)
    assert (other / "tiny_trained_30.safetensors").is_file()
    tried("x86 host other", lost(killed, first))


def damage_checkpoint(host: Host) -> None:
    flip_bits(max(host.output.glob("*.safetensors"), key=lambda path: path.stat().st_mtime_ns))


def write_half_a_line(host: Host) -> None:
    with (host.output / "metrics.jsonl").open("a") as file:
        file.write('{"event": "step", "step": 99')


def set_the_clock_back(host: Host) -> None:
    metrics, later = host.output / "metrics.jsonl", int(datetime.now().timestamp()) + 10 * 365 * 86400
    first, rest = metrics.read_text().split("\n", 1)
    metrics.write_text(json.dumps({**json.loads(first), "time": later}) + "\n" + rest)
    for path in host.build.rglob("*"):
        os.utime(path, (later, later))


def damage_stamps(host: Host) -> None:
    for stamp in (host.package / "cache" / "checked.json", *host.build.rglob(".inputs")):
        stamp.write_bytes(b'{"\xff')


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("x86 checkpoint", damage_checkpoint),
        ("x86 line", write_half_a_line),
        ("x86 clock", set_the_clock_back),
        ("x86 stamp", damage_stamps),
    ],
)
def test_what_a_killed_training_left_is_damaged(
    host: Host, whole: Path, killed: list[Record], name: str, damage: Callable[[Host], None], tried: Tried
) -> None:
    damage(host)
    results = host.invoke("run", "--resume").results
    check_as_if_nothing_had_been(host, results, whole)
    tried(name, lost(killed, results))


def test_a_damaged_package(host: Host, whole: Path, killed: list[Record], tried: Tried) -> None:
    flip_bits(host.package / "model" / "train_step.onnx")
    refused = host.invoke("run", "--resume", code=9)
    assert "does not match its manifest: model/train_step.onnx; package or push it again" in refused.stderr
    host.invoke("package")
    results = host.invoke("run", "--resume").results
    check_as_if_nothing_had_been(host, results, whole)
    tried("x86 package", lost(killed, results))


@contextmanager
def small_disk(folder: Path, kib: int) -> Iterator[Callable[[], object]]:
    """A disk of that size for the folder; what makes it larger."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", folder], check=True)
    try:
        yield partial(subprocess.run, ["mount", "-o", "remount,size=64m", folder], check=True)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_in_training(host: Host, whole: Path, tried: Tried) -> None:
    with small_disk(host.output, 700) as make_room:
        full = host.invoke("train", code=9)
        assert "No space left on device" in full.stderr
        before = host.records()
        make_room()
        results = host.invoke("run", "--resume").results
        check_as_if_nothing_had_been(host, results, whole)
    tried("x86 disk training", lost(before, results))


def test_a_full_disk_for_the_results(host: Host, whole: Path, tmp_path: Path, tried: Tried) -> None:
    full = Host(host.build, tmp_path / "runs", "x86", host.output, host.made_of, OPTIONS)
    with small_disk(full.runs, 600) as make_room:
        assert "No space left on device" in full.invoke("run", code=1).stderr
        assert list(full.runs.iterdir()) == []
        before = full.records()
        make_room()
        results = full.invoke("run", "--resume").results
        check_as_if_nothing_had_been(full, results, whole)
        assert read_metrics(results)[-1]["event"] == "end"
        tried("x86 disk results", lost(before, results))
