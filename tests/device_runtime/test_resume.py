"""A training that is killed goes on where it was, and ends in the same bits as one that never stopped."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from device_runtime.formats.errors import FormatError
from tests.device_runtime.interrupted import flip_bits, killed_after, parameters, records, trained
from tests.device_runtime.small_model import execute, write_package
from tests.invoking import ROOT

LAST = "tiny_trained_60.safetensors"
WORDS = ("-c", "60", "-s", "7", "--seed", "5", "--schedule", "cosine", "--warmup", "4", "--augment", "flip,crop")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_package(tmp_path / "package")


@pytest.fixture
def whole(package: Path, tmp_path: Path) -> Path:
    """The output of a training that never stopped."""
    execute(package, tmp_path / "whole", *WORDS)
    return tmp_path / "whole"


@pytest.mark.parametrize("lines_more", [-1, 0, 5])
def test_it_ends_as_if_nothing_had_been(package: Path, whole: Path, tmp_path: Path, lines_more: int) -> None:
    killed_after(whole, tmp_path / "killed", 21, lines_more)
    execute(package, tmp_path / "killed", "--resume")
    assert trained(tmp_path / "killed") == trained(whole)
    saved = [[r["step"] for r in records(output, "checkpoint")] for output in (tmp_path / "killed", whole)]
    assert saved[0] == saved[1]
    assert records(tmp_path / "killed", "resume")[0]["step"] == 21


def test_a_half_written_last_line_goes(package: Path, whole: Path, tmp_path: Path) -> None:
    killed_after(whole, tmp_path / "killed", 21, 3)
    with (tmp_path / "killed" / "metrics.jsonl").open("a") as file:
        file.write('{"event": "st')
    execute(package, tmp_path / "killed", "--resume")
    assert trained(tmp_path / "killed") == trained(whole)


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(
    package: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed_after(whole, tmp_path / "killed", 21, 5)
    newest = tmp_path / "killed" / "tiny_trained_21.safetensors"
    flip_bits(newest)
    execute(package, tmp_path / "killed", "--resume")
    warning = capsys.readouterr().err
    assert warning.startswith("warning: ")
    assert "tiny_trained_21.safetensors is damaged" in warning
    assert trained(tmp_path / "killed") == trained(whole)


def test_a_damaged_checkpoint_is_not_evaluated(package: Path, whole: Path, tmp_path: Path) -> None:
    flip_bits(whole / LAST)
    with pytest.raises(FormatError, match=f"{LAST} is damaged, its content is not what its digest says"):
        execute(package, tmp_path / "evaluated", "-f", whole / LAST, "-c", "0")


def test_one_that_had_saved_nothing_begins_again(package: Path, whole: Path, tmp_path: Path) -> None:
    killed_after(whole, tmp_path / "killed", 7, -3)
    (tmp_path / "killed" / "tiny_trained_7.safetensors").unlink()
    execute(package, tmp_path / "killed", "--resume")
    assert trained(tmp_path / "killed") == trained(whole)


def test_one_from_before_there_was_an_option_begins_again(package: Path, whole: Path, tmp_path: Path) -> None:
    killed_after(whole, tmp_path / "killed", 7, -3)
    (tmp_path / "killed" / "tiny_trained_7.safetensors").unlink()
    lines = (tmp_path / "killed" / "metrics.jsonl").read_text()
    assert lines.count(', "proximal_mu": 0.0') == 1
    (tmp_path / "killed" / "metrics.jsonl").write_text(lines.replace(', "proximal_mu": 0.0', ""))
    execute(package, tmp_path / "killed", "--resume")
    assert trained(tmp_path / "killed") == trained(whole)


def test_one_that_went_on_from_a_checkpoint_goes_on_again(package: Path, whole: Path, tmp_path: Path) -> None:
    for name in ("never", "killed"):
        execute(package, tmp_path / name, "-f", whole / "tiny_trained_35.safetensors", "-c", "25", "-s", "10")
    killed_after(tmp_path / "never", tmp_path / "again", 40, 2)
    execute(package, tmp_path / "again", "--resume")
    assert trained(tmp_path / "again") == trained(tmp_path / "never")


def test_what_is_not_asked_for_is_as_in_the_training_before(package: Path, whole: Path, tmp_path: Path) -> None:
    execute(package, tmp_path / "rest", "-f", whole / "tiny_trained_35.safetensors", "-c", "25")
    rates = [[r["learning_rate"] for r in records(output, "step")] for output in (whole, tmp_path / "rest")]
    assert rates[1] == rates[0][35:]
    assert parameters(tmp_path / "rest" / LAST) == parameters(whole / LAST)


def test_beyond_its_schedule_the_learning_rate_stays(
    package: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(package, tmp_path / "more", "-f", whole / LAST, "-c", "10")
    assert {r["learning_rate"] for r in records(tmp_path / "more", "step")} == {
        records(whole, "step")[-1]["learning_rate"]
    }
    assert "the cosine schedule ended in step 60" in capsys.readouterr().out


def test_a_schedule_that_is_asked_for_begins_anew(package: Path, whole: Path, tmp_path: Path) -> None:
    execute(package, tmp_path / "more", "-f", whole / LAST, "-c", "10", "--schedule", "cosine")
    rates = [r["learning_rate"] for r in records(tmp_path / "more", "step")]
    assert rates[0] == 0.01
    assert rates == sorted(rates, reverse=True)


def test_going_on_in_the_same_folder_drops_what_came_after(package: Path, whole: Path) -> None:
    execute(package, whole, "-f", whole / "tiny_trained_21.safetensors", "-c", "10")
    assert [r["step"] for r in records(whole, "step")] == list(range(1, 32))
    execute(package, whole, "--resume")
    assert records(whole, "end")[-1]["step"] == 31


def test_another_training_in_the_same_folder_sets_the_first_one_aside(package: Path, whole: Path) -> None:
    run = records(whole, "start")[0]["run"]
    before = {path.name: path.read_bytes() for path in whole.iterdir()}
    execute(package, whole, "-c", "5")
    assert {path.name: path.read_bytes() for path in (whole / f"earlier-{run}").iterdir()} == before
    assert [r["step"] for r in records(whole, "step")] == [1, 2, 3, 4, 5]


def test_epochs_sum_up_their_whole_length(package: Path, tmp_path: Path) -> None:
    # 90 images: 11 steps an epoch.
    execute(package, tmp_path / "whole", "--epochs", "3", "-s", "7")
    killed_after(tmp_path / "whole", tmp_path / "killed", 14, 3)
    execute(package, tmp_path / "killed", "--resume")
    both = [
        [{k: v for k, v in r.items() if k != "seconds"} for r in records(output, "epoch", "step")]
        for output in (tmp_path / "whole", tmp_path / "killed")
    ]
    assert both[0] == both[1]


def test_one_that_reached_its_target_trains_no_further_and_says_so(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(package, tmp_path / "whole", "-c", "500", "--target-accuracy", "0.9")
    end = records(tmp_path / "whole", "end")[0]["step"]
    assert end < 500
    execute(package, tmp_path / "whole", "--resume")
    assert records(tmp_path / "whole", "end")[0]["step"] == end
    assert f"step {end} had reached --target-accuracy 0.9 already: nothing is trained\n" in capsys.readouterr().out


def test_of_another_package_it_is_refused(package: Path, whole: Path) -> None:
    lines = (whole / "metrics.jsonl").read_text()
    (whole / "metrics.jsonl").write_text(lines.replace('"package": ""', '"package": "0123"'))
    with pytest.raises(FormatError, match="was started with another model or other data"):
        execute(package, whole, "--resume")


def test_without_a_training_it_is_refused(package: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="holds no training to go on with"):
        execute(package, tmp_path / "empty", "--resume")


def test_so_many_checkpoints_and_the_best_one_are_kept(package: Path, tmp_path: Path) -> None:
    words = ("-c", "60", "-s", "5", "--evaluate-every", "10", "--keep", "2", "--learning-rate", "0.3")
    kept = [name for name in execute(package, tmp_path / "out", *words) if name.endswith(".safetensors")]
    accuracies = {r["step"]: r["accuracy"] for r in records(tmp_path / "out", "evaluation")[:-1]}
    best = max(accuracies, key=lambda step: (accuracies[step], -step))
    assert sorted(kept) == sorted({f"tiny_trained_{step}.safetensors" for step in (best, 55, 60)})


def test_what_a_killed_process_left_goes(package: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    left = tmp_path / "out" / f".tiny_trained_4.safetensors.{process.pid}"
    left.parent.mkdir()
    left.write_bytes(b"half")
    execute(package, tmp_path / "out", "-c", "1")
    assert not left.exists()


def test_two_trainings_in_one_folder_are_told(package: Path, tmp_path: Path) -> None:
    first = started(package, tmp_path / "out", "-c", "1000000")
    try:
        wait_for(lambda: (tmp_path / "out" / "metrics.jsonl").exists())
        with pytest.raises(FormatError, match="another training writes into"):
            execute(package, tmp_path / "out", "-c", "1")
    finally:
        first.kill()
        first.wait()


def started(package: Path, output: Path, *words: str) -> subprocess.Popen[bytes]:
    """The runner as a process of its own."""
    shutil.copytree(
        *(ROOT / "device_runtime", package / "device_runtime"),
        ignore=shutil.ignore_patterns("__pycache__"),
        dirs_exist_ok=True,
    )
    files = ("-f", package / "model", "-d", package / "dataset", "--output", output)
    command = [sys.executable, "-m", "device_runtime", *map(str, files), *words]
    return subprocess.Popen(command, cwd=package, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(happened: Any) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
def test_killed_at_twenty_random_moments_it_ends_in_the_same_bits(package: Path, tmp_path: Path) -> None:
    words: tuple[str, ...] = ("-c", "9000", "-s", "150", "--keep", "3", "--evaluate-every", "900", "--warmup", "50")
    assert started(package, tmp_path / "whole", *words).wait(300) == 0
    took = records(tmp_path / "whole", "end")[0]["seconds"]
    moments, metrics = random.Random(13), tmp_path / "killed" / "metrics.jsonl"
    for kill in range(20):
        before = metrics.stat().st_ino if metrics.exists() else None
        process = started(package, tmp_path / "killed", *(("--resume",) if before else words))
        if kill % 4:
            # It has begun to train, so that every kill finds another place.
            wait_for(lambda old=before: metrics.exists() and metrics.stat().st_ino != old)
        time.sleep(moments.uniform(0, took / 25))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert started(package, tmp_path / "killed", "--resume").wait(300) == 0
    outputs = [tmp_path / name for name in ("whole", "killed")]
    steps = [[(r["step"], r["loss"]) for r in records(output, "step")] for output in outputs]
    assert steps[0] == steps[1]
    ends = [parameters(output / "tiny_trained_9000.safetensors") for output in outputs]
    assert ends[0] == ends[1]
