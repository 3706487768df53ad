"""What the runner prints for whoever shows a training."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from device_runtime.formats.moment import is_moment, read_moment
from tests.device_runtime.interrupted import killed_after, parameters
from tests.device_runtime.small_model import execute, write_package

LAST = "tiny_trained_400.safetensors"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_package(tmp_path / "package")


def test_its_other_lines_and_its_result_are_the_same(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(package, tmp_path / "silent", "-c", "400")
    lines = capsys.readouterr().out.splitlines()
    started = time.monotonic()
    execute(package, tmp_path / "shown", "-c", "400", "--progress")
    took = time.monotonic() - started
    both = capsys.readouterr().out.splitlines()
    assert [line for line in both if not is_moment(line)] == lines
    moments = [read_moment(line) for line in both if is_moment(line)]
    # One before the first step, one after the last, and four a second.
    assert 2 <= len(moments) <= 3 + 4 * took
    assert [moments[0].step, moments[-1].step, moments[-1].steps] == [0, 400, 400]
    assert moments[0].loss is None
    assert moments[-1].seconds_left == 0
    assert (moments[-1].images_per_second or 0) > 0
    # The report of every hundredth step is the last that is known.
    assert moments[-1].score is not None
    assert parameters(tmp_path / "shown" / LAST) == parameters(tmp_path / "silent" / LAST)


def test_one_that_goes_on_knows_where_it_is(package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    execute(package, tmp_path / "whole", "-c", "400", "-s", "150", "--evaluate-every", "100")
    killed_after(tmp_path / "whole", tmp_path / "killed", 150, 3)
    capsys.readouterr()
    execute(package, tmp_path / "killed", "--resume", "--progress")
    first = next(read_moment(line) for line in capsys.readouterr().out.splitlines() if is_moment(line))
    assert (first.step, first.steps, first.loss) == (150, 400, None)
    assert first.score is not None
