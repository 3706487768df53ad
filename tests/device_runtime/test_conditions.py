"""A training that pauses and goes on: what is said, what is noted, and that its result is the same."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from device_runtime.conditions import Conditions, Pace, duration
from device_runtime.formats.battery import Power
from device_runtime.formats.errors import FormatError
from device_runtime.formats.options import OptionsError, parse
from device_runtime.power import Device
from device_runtime.runner import run
from tests.device_runtime.small_model import execute, write_package
from tests.device_runtime.test_power import supply
from tests.invoking import ROOT

QUICK = Pace(ask_every_s=0, ask_paused_every_s=0.02, note_every_s=0)
BATTERY = {"type": "Battery", "status": "Discharging", "capacity": "80", "temp": "310"}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_package(tmp_path / "package")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A laptop, plugged in, as its kernel has it."""
    supply(tmp_path / "root", "AC", type="Mains", online="1")
    supply(tmp_path / "root", "BAT0", **BATTERY)
    return tmp_path / "root"


def train(package: Path, output: Path, root: Path, *words: str) -> None:
    """Runs the runner in this process, on a device of these files."""
    arguments = ["-f", str(package / "model"), "-d", str(package / "dataset"), "--output", str(output), *words]
    run(parse(arguments, package), package, Device(root), QUICK)


def records(output: Path, event: str) -> list[dict[str, str | float]]:
    metrics = output / "metrics.jsonl"
    lines = metrics.read_text().splitlines(keepends=True) if metrics.exists() else []
    # The last line may be half written while the training runs.
    return [record for line in lines if line.endswith("\n") and (record := json.loads(line))["event"] == event]


def when(happened: Callable[[], object], then: Callable[[], object]) -> threading.Thread:
    """Does something beside the training as soon as something happened."""

    def wait() -> None:
        deadline = time.monotonic() + 30
        while not happened() and time.monotonic() < deadline:
            time.sleep(0.01)
        then()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_it_pauses_says_why_saves_and_goes_on_to_the_same_result(
    package: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, calm = tmp_path / "output", tmp_path / "calm"
    execute(package, calm, "-c", "400")
    capsys.readouterr()
    falls = when(
        lambda: len(records(output, "step")) >= 5, lambda: supply(root, "BAT0", **{**BATTERY, "capacity": "28"})
    )
    rises = when(
        lambda: records(output, "pause") and records(output, "checkpoint"), lambda: supply(root, "BAT0", **BATTERY)
    )
    train(package, output, root, "-c", "400", "--min-battery", "30")
    falls.join()
    rises.join()
    (pause,) = records(output, "pause")
    step = pause["step"]
    lines = capsys.readouterr().out.splitlines()
    assert f"paused at step {step}: the battery has 28 %, below --min-battery 30" in lines
    assert f"goes on at step {step} after 0 s" in lines
    assert records(output, "checkpoint")[0]["step"] == step
    assert records(output, "continue")[0]["step"] == step
    assert [record["step"] for record in records(output, "step")] == list(range(1, 401))
    name = "tiny_trained_400.safetensors"
    tensors = [load_file(folder / name) for folder in (output, calm)]
    assert all(tensors[0][name].tobytes() == tensors[1][name].tobytes() for name in tensors[1])


def test_before_the_first_step_nothing_is_saved(package: Path, root: Path, tmp_path: Path) -> None:
    supply(root, "AC", type="Mains", online="0")
    plugs = when(lambda: records(tmp_path / "output", "pause"), lambda: supply(root, "AC", type="Mains", online="1"))
    train(package, tmp_path / "output", root, "-c", "3", "--while-charging")
    plugs.join()
    assert [record["step"] for record in records(tmp_path / "output", "pause")] == [0]
    assert [record["step"] for record in records(tmp_path / "output", "checkpoint")] == [3]


def test_the_state_of_the_device_is_in_the_metrics(package: Path, root: Path, tmp_path: Path) -> None:
    train(package, tmp_path / "output", root, "-c", "2")
    first, second, last = records(tmp_path / "output", "device")
    battery = {"plugged": True, "battery_percent": 80.0, "battery_celsius": 31.0}
    noted = ("seconds", "rss_bytes")
    assert {n: v for n, v in first.items() if n not in noted} == {"event": "device", "step": 0, **battery}
    assert 2**24 < int(first["rss_bytes"]) < 2**34
    assert 0 <= float(first["seconds"]) <= float(second["seconds"]) <= float(last["seconds"]) < 60
    assert second["step"] == 1
    # At the end the battery is not asked.
    assert last.keys() == {"event", "step", *noted}
    assert last["step"] == 2


def test_memory_is_noted_at_begin_and_end_and_the_time_goes_on_in_a_training_that_goes_on(
    package: Path, tmp_path: Path
) -> None:
    execute(package, tmp_path / "output", "-c", "20", "-s", "10")
    metrics = tmp_path / "output" / "metrics.jsonl"
    before = records(tmp_path / "output", "device")
    assert [record["step"] for record in before] == [0, 20]
    # As if it had taken long until it was killed.
    began = f'"seconds": {before[0]["seconds"]}, "rss_bytes"'
    lines = metrics.read_text().replace(began, '"seconds": 1000.5, "rss_bytes"', 1).splitlines(keepends=True)
    saved = next(number for number, line in enumerate(lines) if '"checkpoint", "step": 10' in line)
    metrics.write_text("".join(lines[: saved + 1]))
    (tmp_path / "output" / "tiny_trained_20.safetensors").unlink()
    execute(package, tmp_path / "output", "--resume")
    after = records(tmp_path / "output", "device")
    assert [record["step"] for record in after] == [0, 10, 20]
    assert 1000.5 <= float(after[1]["seconds"]) <= float(after[2]["seconds"]) < 1060


@pytest.mark.parametrize(
    ("conditions", "power", "reason"),
    [
        (Conditions(while_charging=True), Power(True, False, 80), "the device is not plugged in (--while-charging)"),
        (Conditions(while_charging=True), Power(True, True, 3), ""),
        (Conditions(min_battery=30), Power(True, True, 29.6), "the battery has 29.6 %, below --min-battery 30"),
        (Conditions(min_battery=30), Power(True, False, 30), ""),
        (Conditions(min_battery=30), Power(False, True), ""),
        (
            Conditions(max_battery_temp=40),
            Power(True, True, 50, 40.3),
            "the battery has 40.3 °C, above --max-battery-temp 40",
        ),
        (Conditions(max_battery_temp=40), Power(True, True, 50, 40.0), ""),
        (
            Conditions(max_battery_temp=40),
            Power(True, True, 50),
            "the battery does not say how hot it is (--max-battery-temp 40)",
        ),
        (
            Conditions(while_charging=True, min_battery=30),
            Power(True, False, 20),
            "the device is not plugged in (--while-charging); the battery has 20 %, below --min-battery 30",
        ),
    ],
)
def test_each_condition_says_why_it_is_not_met(conditions: Conditions, power: Power, reason: str) -> None:
    assert conditions.unmet(Device(), power, paused=False) == reason


def test_a_pause_ends_a_little_above_the_limit_so_that_it_does_not_come_and_go() -> None:
    conditions = Conditions(min_battery=30, max_battery_temp=40)
    assert conditions.unmet(Device(), Power(True, True, 31, 37), paused=True)
    assert conditions.unmet(Device(), Power(True, True, 32, 39), paused=True)
    assert not conditions.unmet(Device(), Power(True, True, 32, 38), paused=True)
    assert not Conditions(min_battery=100).unmet(Device(), Power(True, True, 100), paused=True)


@pytest.mark.parametrize(
    ("now", "hours", "inside"),
    [
        ("23:10", "22:00-06:00", True),
        ("05:59", "22:00-06:00", True),
        ("06:00", "22:00-06:00", False),
        ("12:00", "22:00-06:00", False),
        ("12:00", "09:00-17:30", True),
        ("17:30", "09:00-17:30", False),
    ],
)
def test_hours_may_go_over_midnight(
    now: str, hours: str, inside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The device's own `date` is asked.
    (tmp_path / "date").write_text(f"#!/bin/sh\n[ $1 = +%H:%M ] && echo {now}\n")
    (tmp_path / "date").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    reason = Conditions(between=hours).unmet(Device(), Power(True, True), paused=False)
    assert reason == ("" if inside else f"it is {now} on the device, not --between {hours}")


@pytest.mark.parametrize(
    "words",
    [
        ("--between", "22:00"),
        ("--between", "22:00-22:00"),
        ("--between", "22-6"),
        ("--between", "24:00-06:00"),
        ("--min-battery", "101"),
        ("--min-battery", "0"),
        ("--max-battery-temp", "nan"),
        ("--max-battery-temp", "-3"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=f"{words[0]}: '{words[1]}' is not "):
        parse(["-f", "model", "-d", "dataset", *words], tmp_path)


def test_hours_are_kept_as_they_are_said(tmp_path: Path) -> None:
    assert parse(["-f", "model", "-d", "dataset", "--between", "6:30 - 9:05"], tmp_path).between == "06:30-09:05"


def test_a_temperature_that_is_not_told_is_refused_before_anything_is_written(package: Path, tmp_path: Path) -> None:
    execute(package, tmp_path / "output", "-c", "3")
    before = (tmp_path / "output" / "metrics.jsonl").read_bytes()
    with pytest.raises(FormatError, match="--max-battery-temp: this device does not tell its battery's temperature"):
        train(package, tmp_path / "output", tmp_path / "board", "--max-battery-temp", "40")
    assert (tmp_path / "output" / "metrics.jsonl").read_bytes() == before


def test_a_board_without_a_battery_trains_whatever_is_asked_of_its_battery(package: Path, tmp_path: Path) -> None:
    train(package, tmp_path / "output", tmp_path / "board", "-c", "3", "--while-charging", "--min-battery", "50")
    assert not records(tmp_path / "output", "pause")


RUNNER = """
import sys
from pathlib import Path
from device_runtime.conditions import Pace
from device_runtime.formats.options import parse
from device_runtime.runner import run

run(parse(sys.argv[2:], Path(sys.argv[1])), Path(sys.argv[1]), pace=Pace(least_gap_s=1))
"""


def test_a_process_that_stood_still_says_for_how_long(package: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    words = [str(package), "-f", str(package / "model"), "-d", str(package / "dataset"), "--output", str(output)]
    command = [sys.executable, "-c", RUNNER, *words, "-c", "40000"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    stop = when(lambda: len(records(output, "step")) > 5, lambda: process.send_signal(signal.SIGSTOP))
    stop.join()
    time.sleep(2.5)
    process.send_signal(signal.SIGCONT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    (gap,) = records(output, "gap")
    assert 2 <= float(gap["seconds"]) <= 10
    assert re.search(r"^the device slept for \d s in a gap$", out, re.MULTILINE)


def test_durations_are_told_in_what_fits() -> None:
    assert [duration(s) for s in (0.2, 59.4, 61, 719, 3599, 11100)] == [
        "0 s",
        "59 s",
        "1 min",
        "12 min",
        "1 h 0 min",
        "3 h 5 min",
    ]
