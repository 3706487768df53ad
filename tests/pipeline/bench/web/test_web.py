"""`invoke bench --target web`, as a user types it: what is measured and trained, never how fast."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.bench.web.results import NATIVE, OURS, TFJS, Timing, WebResult, lines_of
from tests.invoking import invoke


def test_the_table_has_each_engine_and_what_was_trained() -> None:
    ours, theirs = Timing(4.0, 1.0, (2.3, 1.1, 0.25)), Timing(10.0, 0.39, (2.3, 1.2, 0.5))
    timings = {OURS: ours, NATIVE: Timing(2.0, 2.01), TFJS: theirs}
    result = WebResult("LeNet-5", "Chromium 9 on Linux", (1, 32, 32), 32, "adam", 10, {1: timings})
    title, heading, times, *trained = lines_of(result)
    assert title == "LeNet-5, 1×32×32, batch 32, adam, in Chromium 9 on Linux: ms per step (ours / it)"
    assert heading.split() == ["threads", OURS, NATIVE, TFJS]
    assert times.split() == ["1", "4.000", "2.000", "(2.01)", "10.000", "(0.39)"]
    assert trained == ["web trained: loss 2.3000 → 0.2500", "tensorflow.js trained: loss 2.3000 → 0.5000"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--networks lenet,resnet18", "measures lenet alone: leave out --networks and --model"),
        ("--model keyword", "measures lenet alone: leave out --networks and --model"),
        ("--rivals jax", "measures beside TensorFlow.js"),
        ("--serial emulator-5554", "measures beside TensorFlow.js"),
    ],
)
def test_what_it_does_not_measure_is_one_line(words: str, said: str, tmp_path: Path) -> None:
    done = invoke("bench", "--target", "web", "--build", tmp_path, *words.split())
    assert done.code == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_without_chromium_it_says_what_to_install_before_anything_is_built(tmp_path: Path) -> None:
    done = invoke("bench", "--target", "web", "--build", tmp_path / "build", env={"PATH": str(tmp_path)})
    assert done.code == 3
    assert done.stderr == (
        "error: no Chromium is on this machine: `apt-get install chromium`, or leave out --target web\n"
    )
    assert not (tmp_path / "build").exists()


@pytest.mark.slow
def test_both_engines_of_the_browser_train_the_same_network(tmp_path: Path) -> None:
    done = invoke("bench", "--target", "web", "--build", tmp_path, "--repeats", "1", "--seconds", "0.01")
    assert done.code == 0, done.stderr
    result = json.loads((tmp_path / "bench-web.json").read_text())
    assert result["browser"].startswith("Chromium")
    assert set(result["threads"]) == {"1", "2"}
    for engines in result["threads"].values():
        assert set(engines) == {OURS, NATIVE, TFJS}
        assert all(engine["ms"] > 0 and engine["ratio"] > 0 for engine in engines.values())
        ours, theirs = (engines[name]["losses"] for name in (OURS, TFJS))
        # From the same weights, with the same batches: to rounding in the first step, near each other in 200.
        assert ours[0] == pytest.approx(theirs[0], abs=1e-5)
        assert ours[1] == pytest.approx(theirs[1], rel=0.05)
        assert ours[2] < ours[1] < ours[0]
        assert theirs[2] < theirs[1] < theirs[0]
