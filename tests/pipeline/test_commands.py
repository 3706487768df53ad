"""Programs that answer."""

from __future__ import annotations

import sys

import pytest

from pipeline.commands import converse, run
from pipeline.errors import CommandError

COUNT = "import sys\nfor number, line in enumerate(sys.stdin): print(number, flush=True)"


def test_a_program_answers_as_often_as_it_is_asked() -> None:
    with converse([sys.executable, "-c", COUNT], timeout_s=30) as ask:
        assert [ask().strip(), ask().strip()] == ["0", "1"]


def test_a_program_that_ends_says_why() -> None:
    program = [sys.executable, "-c", "raise SystemExit('no data')"]
    with converse(program, timeout_s=30) as ask, pytest.raises(CommandError, match="exit code 1:\nno data"):
        ask()


def test_a_program_that_takes_too_long_is_stopped() -> None:
    with (
        converse([sys.executable, "-c", "import time; time.sleep(60)"], timeout_s=0.2) as ask,
        pytest.raises(CommandError, match=r"gave no answer within 0\.2 s"),
    ):
        ask()


def test_a_full_disk_is_one_line() -> None:
    program = [sys.executable, "-c", "import errno, os; raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))"]
    with pytest.raises(CommandError, match="found the disk full") as caught:
        run(program, timeout_s=30)
    assert "\n" not in str(caught.value)
