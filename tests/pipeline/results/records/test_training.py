"""metrics.jsonl as curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from device_runtime.formats.errors import FormatError
from pipeline.results.records.training import Training, read_training
from tests.pipeline.results.made import STEPS, metrics, write_metrics


def read(folder: Path, records: list[dict[str, Any]]) -> Training:
    write_metrics(folder, records)
    return read_training(folder)


def test_a_training_that_was_resumed_has_each_step_once(tmp_path: Path) -> None:
    training = read(tmp_path, metrics())
    assert training.loss.steps == tuple(range(1, STEPS + 1))
    assert training.resumed == (STEPS // 2,)
    assert (training.state, training.steps, training.score, training.evaluated) == ("ended", STEPS, 0.9, "test")
    assert training.peak_memory_bytes == 99 * 2**20
    assert training.median_step_seconds == 0.012


def test_what_the_device_told_is_a_curve_and_what_it_did_not_tell_is_none(tmp_path: Path) -> None:
    sensors = read(tmp_path, metrics()).sensors
    assert sensors.battery_percent.steps == (20, 40, 60, 80, 100, 120)
    assert sensors.battery_percent.values[0] == 89
    assert not sensors.hottest_celsius


def test_a_training_without_an_end_was_interrupted(tmp_path: Path) -> None:
    training = read(tmp_path, metrics()[:50])
    assert (training.state, training.seconds, training.score) == ("interrupted", None, None)


def test_one_that_diverged_says_where_and_what_to_do(tmp_path: Path) -> None:
    ended = {"event": "diverged", "step": 3, "what": "the loss is nan", "advice": "give a smaller --learning-rate"}
    training = read(tmp_path, [*metrics()[:3], ended])
    assert training.state == "diverged"
    assert training.advice == "step 3: the loss is nan: give a smaller --learning-rate"


def test_of_several_evaluations_the_last_one_counts(tmp_path: Path) -> None:
    evaluations = [
        {"event": "evaluation", "step": STEPS, "split": split, "accuracy": accuracy, "loss": 0.1}
        for split, accuracy in (("test", 0.9), ("validation", 0.8))
    ]
    training = read(tmp_path, [*metrics()[:-2], *evaluations])
    assert (training.score, training.evaluated) == (0.8, "validation")
    assert list(training.scores) == ["test", "validation"]


def test_a_field_that_is_no_number_is_left_out(tmp_path: Path) -> None:
    steps = [{"event": "step", "step": 1, "loss": 0.5, "seconds": None}, {"event": "step", "step": 2, "loss": 0.25}]
    training = read(tmp_path, [metrics()[0], *steps])
    assert training.loss.values == (0.5, 0.25)
    assert not training.step_seconds
    assert training.median_step_seconds is None


def test_a_clock_that_tells_no_time_is_no_error(tmp_path: Path) -> None:
    assert read(tmp_path, metrics(time=2**62)).began is None


def test_without_a_beginning_there_is_no_training(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="says of no training that it began"):
        read(tmp_path, metrics()[1:])
