"""`invoke bench --fleet`, as a user types it: what it measures, never how fast."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.bench.fleets import FleetResult, fleet_lines
from tests.faults.training import MODULE
from tests.invoking import invoke
from tests.pipeline.datasets.mnist import write_mnist


def test_a_table_says_what_float16_loses() -> None:
    whole = FleetResult(8, "float32", 3.25, 1.5, 0.5, 1_980_000, 1_990_000, 0.9)
    halves = FleetResult(8, "float16", 3.0, 1.25, 0.5, 990_000, 1_000_000, 0.8875)
    _, heading, first, second = fleet_lines([whole, halves])
    assert heading.split()[:3] == ["devices", "in", "s"]
    assert first.split() == ["8", "float32", "3.25", "1.50", "0.50", "1.98", "1.99", "0.9000"]
    assert second.split()[-2:] == ["0.8875", "(-0.0125)"]


def test_fleets_of_one_and_two_are_measured_and_the_larger_in_float16(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(MODULE)
    write_mnist(tmp_path / "data")
    done = invoke(
        *("bench", "--fleet", "1,2", "--repeats", "1", "--model", f"{tmp_path / 'small.py'}:tiny", "--batch-size", "4"),
        *("--data", tmp_path / "data", "--build", tmp_path / "build"),
    )
    assert done.code == 0, done.stderr
    one, two, halves = json.loads((tmp_path / "build" / "bench-fleet.json").read_text())
    assert [(row["devices"], row["dtype"]) for row in (one, two, halves)] == [
        (1, "float32"),
        (2, "float32"),
        (2, "float16"),
    ]
    for row in (one, two, halves):
        assert 0 < row["asking_seconds"] + row["own_seconds"] < row["seconds"]
        assert 0 <= row["accuracy"] <= 1
    for way in ("pushed_bytes", "pulled_bytes"):
        assert 1.9 < two[way] / one[way] < 2.1
        assert 0.4 < halves[way] / two[way] < 0.6
    assert "beyond training, push, pull" in done.stdout
    assert done.stdout.rstrip().endswith(")")


def test_a_number_of_devices_that_is_none_is_one_line(tmp_path: Path) -> None:
    done = invoke("bench", "--fleet", "1,0", "--build", tmp_path / "build")
    assert done.code == 2
    assert done.stderr.splitlines()[-1] == "error: --fleet 1,0: give numbers of local devices, as 1,2,4,8"
