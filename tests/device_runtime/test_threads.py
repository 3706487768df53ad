"""How many threads a training takes, and what it says of that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from device_runtime.threads import LEAST_BATCHES, Threads, counts_for, fastest, tried
from tests.device_runtime.small_model import execute, write_package
from tests.invoking import ROOT

CPUS = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Ran:
    """What a run printed and recorded."""

    lines: list[str]
    records: list[dict[str, Any]]

    @property
    def planned(self) -> int:
        """The threads of the plan that it was started with."""
        return int(next(record for record in self.records if record["event"] == "start")["threads"])


def train(package: Path, output: Path, *words: str, cpus: int = CPUS) -> Ran:
    """Trains on some of this machine's CPUs, in a process of its own."""
    allowed = ",".join(map(str, sorted(os.sched_getaffinity(0))[:cpus]))
    model, data = ("-f", str(package / "model")), ("-d", str(package / "dataset"))
    command = ["taskset", "-c", allowed, sys.executable, "-m", "device_runtime", *model, *data]
    done = subprocess.run(
        [*command, "--output", str(output), *words], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return read(output, done.stdout)


def read(output: Path, stdout: str = "") -> Ran:
    """What a run printed and recorded."""
    records = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return Ran(stdout.splitlines(), records)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_package(tmp_path / "package")


@pytest.mark.parametrize(
    ("cpus", "counts"), [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (4, (1, 2, 4)), (8, (1, 2, 4)), (64, (1, 2, 4))]
)
def test_at_most_four_threads_are_tried(cpus: int, counts: tuple[int, ...]) -> None:
    assert counts_for(cpus) == counts


def test_more_threads_are_tried_as_long_as_they_are_faster() -> None:
    asked: list[int] = []

    def measure(threads: int) -> float:
        asked.append(threads)
        return {1: 1.0, 2: 1.2, 4: 0.1}[threads]

    assert tried((1, 2, 4), measure) == {1: 1.0, 2: 1.2}
    assert asked == [1, 2]


def test_a_thread_that_gains_next_to_nothing_is_left_out() -> None:
    assert fastest({1: 1.0, 2: 0.6, 4: 0.58}) == 2
    assert fastest({1: 1.0, 2: 0.6, 4: 0.4}) == 4
    assert fastest({1: 1.0, 2: 0.99}) == 1


@pytest.mark.parametrize(
    ("threads", "line"),
    [
        (Threads(2, 4, {1: 0.861, 2: 0.6204, 4: 0.9}), "2 threads: a batch takes 0.62 ms, 0.861 on 1, 0.9 on 4"),
        (Threads(1, 2, {1: 0.5, 2: 0.61}), "1 thread: a batch takes 0.5 ms, 0.61 on 2"),
        (Threads(1, 1, {}), "1 thread, as there is one CPU"),
        (
            Threads(2, 4, {}),
            "2 threads; others are tried in trainings of 500 batches and more",
        ),
    ],
)
def test_the_log_says_what_was_chosen_and_why(threads: Threads, line: str) -> None:
    assert threads.line() == line


@pytest.mark.skipif(CPUS < 2, reason="there is one CPU")
def test_a_long_training_tries_them(package: Path, tmp_path: Path) -> None:
    ran = train(package, tmp_path / "output", "-c", str(LEAST_BATCHES))
    (record,) = [record for record in ran.records if record["event"] == "threads"]
    assert record["threads"] == ran.planned
    assert record["cpus"] == CPUS
    assert {record["ms_on_1"] > 0, record["ms_on_2"] > 0} == {True}
    number = "1 thread" if ran.planned == 1 else f"{ran.planned} threads"
    assert ran.lines[0].startswith(f"{number}: a batch takes ")


def test_a_trial_changes_nothing_of_the_training(package: Path, tmp_path: Path) -> None:
    ran = train(package, tmp_path / "tried", "-c", str(LEAST_BATCHES))
    told = train(package, tmp_path / "told", "-c", str(LEAST_BATCHES), "--threads", str(ran.planned))
    losses = [[record["loss"] for record in run.records if record["event"] == "step"] for run in (ran, told)]
    assert losses[0] == losses[1]


@pytest.mark.skipif(CPUS < 2, reason="there is one CPU")
def test_a_short_training_takes_two(package: Path, tmp_path: Path) -> None:
    ran = train(package, tmp_path / "output", "-c", "20")
    assert ran.planned == 2
    assert ran.lines[0] == "2 threads; others are tried in trainings of 500 batches and more"


def test_one_cpu_takes_one_thread_and_tries_nothing(package: Path, tmp_path: Path) -> None:
    ran = train(package, tmp_path / "output", "-c", str(LEAST_BATCHES), cpus=1)
    assert ran.planned == 1
    assert ran.lines[0] == "1 thread, as there is one CPU"


def test_what_a_user_says_is_taken(package: Path, tmp_path: Path) -> None:
    ran = train(package, tmp_path / "output", "-c", str(LEAST_BATCHES), "--threads", "3")
    assert ran.planned == 3
    assert not [record for record in ran.records if record["event"] == "threads"]
    assert "thread" not in ran.lines[0]


def test_a_training_that_goes_on_keeps_its_number(package: Path, tmp_path: Path) -> None:
    train(package, tmp_path / "before", "-c", "20", cpus=1)
    execute(package, tmp_path / "on", "-f", tmp_path / "before" / "tiny_trained_20.safetensors", "-c", "500")
    ran = read(tmp_path / "on")
    assert ran.planned == 1
    assert not [record for record in ran.records if record["event"] == "threads"]
