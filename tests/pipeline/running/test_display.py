"""What a terminal sees of a training while it runs, and what other outputs do not."""

from __future__ import annotations

import re

import pytest

from device_runtime.formats.moment import Moment
from pipeline.running.display import facts
from tests.in_terminal import in_terminal, without_escapes

# Prints a line, shows a moment, prints another line.
PROGRAM = """
import time
from device_runtime.formats.moment import Moment
from pipeline.running.display import display

with display() as show:
    print("10:\\tLoss is 0.5", flush=True)
    show(Moment(10, 40, 0.5, 0.25, 12345.6, 61.4))
    time.sleep(0.6)
    print("20:\\tLoss is 0.25", flush=True)
    show(Moment(20, 40, 0.25, 0.75, paused=True))
    time.sleep(0.6)
print("accuracy = 0.75", flush=True)
"""
LINES = ["10: Loss is 0.5", "20: Loss is 0.25", "accuracy = 0.75"]


@pytest.mark.parametrize("columns", [40, 120])
def test_a_terminal_sees_lines_above_and_how_far_it_is_below(columns: int) -> None:
    written = in_terminal(["-c", PROGRAM], columns)
    rows = without_escapes(written).replace("\t", " " * 5).replace("\r", "\n").splitlines()
    assert max(map(len, rows)) <= columns
    lines = [" ".join(row.split()) for row in rows]
    assert [line for line in lines if line in LINES] == LINES
    drawn = ["step 10 of 40 loss 0.5", "accuracy 0.25 12,346 images/s", "0:01:01 left"]
    assert set(drawn if columns == 40 else [" ".join(drawn)]) <= set(lines)
    paused = ["step 20 of 40 loss 0.25", "accuracy 0.75 paused"]
    assert set(paused if columns == 40 else [" ".join(paused)]) <= set(lines)
    # What was drawn last is erased before the next line.
    assert written.endswith("\x1b[2Kaccuracy = 0.75\n")


def test_without_colours_it_is_shown_without_colours() -> None:
    colour = re.compile(r"\x1b\[[39]\d")
    assert colour.search(in_terminal(["-c", PROGRAM]))
    written = in_terminal(["-c", PROGRAM], NO_COLOR="1")
    assert "step 10 of 40" in written
    assert not colour.search(written)


def test_a_terminal_that_cannot_draw_over_itself_sees_the_lines_alone() -> None:
    lines = "10:\tLoss is 0.5\n20:\tLoss is 0.25\naccuracy = 0.75\n"
    assert in_terminal(["-c", PROGRAM], TERM="dumb") == lines


def test_what_is_not_known_yet_is_not_told() -> None:
    assert facts(Moment(0, 1000)) == ["step 0 of 1000"]
    assert facts(Moment(1, 2, images_per_second=0.52)) == ["step 1 of 2", "0.52 images/s"]
