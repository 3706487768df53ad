"""TensorBoard's own reader finds the curves of a training."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.results.tensorboard import FOLDER, MOST_POINTS, write_tensorboard
from tests.curves import curves
from tests.device_runtime.interrupted import killed_after, records
from tests.device_runtime.small_model import execute, write_package

TAGS = [
    "accuracy/report",
    "accuracy/test",
    "device/rss_bytes",
    "loss/test",
    "loss/train",
    "step/learning_rate",
    "step/seconds",
]


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a training left that was killed once and went on."""
    folder = tmp_path_factory.mktemp("resumed")
    package = write_package(folder / "package")
    execute(package, folder / "whole", "-c", "60", "-s", "7", "--evaluate-every", "20", "--schedule", "cosine")
    killed_after(folder / "whole", folder / "killed", 21, 5)
    write_tensorboard(folder / "killed")
    execute(package, folder / "killed", "--resume")
    write_tensorboard(folder / "killed")
    return folder / "killed"


def test_the_curves_are_those_of_the_record(resumed: Path) -> None:
    found = curves(resumed)
    assert sorted(found) == sorted([*TAGS, "f1/test"])
    for tag, event, field in (
        ("loss/train", "step", "loss"),
        ("step/learning_rate", "step", "learning_rate"),
        ("step/seconds", "step", "seconds"),
        ("accuracy/report", "report", "accuracy"),
    ):
        recorded = records(resumed, event)
        assert [point.step for point in found[tag]] == [record["step"] for record in recorded]
        # TensorBoard has 32 bits.
        assert [point.value for point in found[tag]] == pytest.approx([record[field] for record in recorded], rel=1e-6)
    # The evaluation at the end is that of the last step once more.
    assert [point.step for point in found["accuracy/test"]] == [20, 40, 60]


def test_a_training_that_went_on_is_one_curve(resumed: Path) -> None:
    assert len(list((resumed / FOLDER).iterdir())) == 1
    points = curves(resumed)["loss/train"]
    assert [point.step for point in points] == list(range(1, 61))
    times = [point.time for point in points]
    assert times == sorted(times)
    assert 0 <= times[0] - records(resumed, "start")[0]["time"] <= 60


def test_of_very_many_steps_some_are_written_the_last_among_them(tmp_path: Path) -> None:
    steps = 3 * MOST_POINTS
    lines = ['{"event": "start", "run": "0a", "model": "m", "package": "", "engine": "lowered", "file": "a", "time": 1']
    lines[0] += ', "first": 1, "last": 30000}'
    lines += [f'{{"event": "step", "step": {n + 1}, "loss": {n}}}' for n in range(steps)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    write_tensorboard(tmp_path)
    points = [point.step for point in curves(tmp_path)["loss/train"]]
    assert (len(points), points[0], points[-1]) == (MOST_POINTS, 1, steps)
