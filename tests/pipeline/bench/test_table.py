"""What `invoke bench` prints and writes, from results made up."""

from __future__ import annotations

import json

from pipeline.bench.results import BenchResult, CacheResult, ConversionResult, NetworkResult, Threads, Timing
from pipeline.bench.table import cache_lines, conversion_lines, network_lines, to_json

MIB = 2**20
ENGINES = {
    "lowered": Timing(2.0, 1.0, 80 * MIB, 50 * MIB),
    "onnxruntime-training": Timing(4.0, 0.51, 300 * MIB, 280 * MIB),
    "torch-eager": Timing(5.0, 0.42, 350 * MIB, 290 * MIB),
    "torch-compile": Timing(unavailable="no C++ compiler"),
}
NETWORK = NetworkResult(
    "LeNet-5", (1, 32, 32), 32, "adam", 72_000_000, {1: Threads(ENGINES, 72e9, 1.0, 2.1)}, 90 * MIB, 60 * MIB
)
CONVERSION = ConversionResult("photos", 200, {1: 50.0, 2: 90.0})
CACHE = CacheResult(images=200, pass_s=4.0, epochs=10, epochs_s=5.0, uncached_epoch_s=3.0, uncached_steps=3)
RESULT = BenchResult("x86", 10, {"lenet": NETWORK}, CONVERSION, CACHE)


def test_the_table_has_each_rival_the_bound_and_the_memory() -> None:
    title, heading, times, memory, above, reason, runner = network_lines(NETWORK)
    assert "LeNet-5, 1×32×32, batch 32, adam, 72 MFLOP a step" in title
    assert heading.split()[1:4] == ["lowered", "onnxruntime-training", "torch-eager"]
    assert times.split()[:6] == ["1", "2.000", "4.000", "(0.51)", "5.000", "(0.42)"]
    assert times.split()[-2:] == ["1.000", "(2.10)"]
    assert "80 MiB" in memory
    assert memory.endswith("72 GFLOP/s")
    assert above.split() == ["above", "base", "30", "MiB", "20", "MiB", "60", "MiB"]
    assert reason == "torch-compile does not run here: no C++ compiler"
    assert runner.endswith("90 MiB, 30 MiB above its base (imports and an empty session)")


def test_a_device_has_the_lowered_engine_alone() -> None:
    threads = {1: Threads({"lowered": Timing(2.0, 1.0, 80 * MIB, 50 * MIB)}, 72e9, 1.0, 2.1)}
    device = NetworkResult("LeNet-5", (1, 32, 32), 32, "adam", 72_000_000, threads, 90 * MIB, 60 * MIB)
    assert "torch" not in "\n".join(network_lines(device))


def test_photographs_take_a_line_each() -> None:
    (line,) = conversion_lines(CONVERSION)
    assert line.endswith("50 images/s with 1 process, 90 images/s with 2 processes")
    text = "\n".join(cache_lines(CACHE))
    assert "5.00 s (1.25 times one pass)" in text
    assert "extrapolated from 3 steps: 30 s" in text


def test_the_json_holds_everything() -> None:
    record = json.loads(to_json(RESULT))
    threads = record["networks"]["lenet"]["threads"]["1"]
    assert threads["engines"]["torch-eager"] == {
        "ms": 5.0,
        "lowered_ratio": 0.42,
        "peak_memory_bytes": 350 * MIB,
        "base_memory_bytes": 290 * MIB,
        "unavailable": None,
    }
    assert threads["engines"]["torch-compile"]["unavailable"] == "no C++ compiler"
    assert threads["bound_ms"] == 1.0
    assert record["networks"]["lenet"]["runner_peak_memory_bytes"] == 90 * MIB
    assert record["conversion"]["images_per_s"] == {"1": 50.0, "2": 90.0}
    assert record["cache"]["pass_s"] == 4.0
