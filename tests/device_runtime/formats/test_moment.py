"""The line that says how far a training is."""

from __future__ import annotations

import pytest

from device_runtime.formats.moment import Moment, is_moment, line_of, read_moment


@pytest.mark.parametrize("moment", [Moment(0, 3), Moment(3, 3, 0.1, 0.9, 1e3, 0.0), Moment(2, 3, 1.5, paused=True)])
def test_it_says_what_it_was_made_of(moment: Moment) -> None:
    line = line_of(moment)
    assert is_moment(line)
    assert "\n" not in line
    assert read_moment(line) == moment


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"step": 2', '"step": -2'),
        ('"step": 2', '"step": 9'),
        ('"loss": 0.5', '"loss": NaN'),
        ('"seconds_left": 4.0', '"seconds_left": 1e300'),
        ('"seconds_left": 4.0', '"seconds_left": -1'),
        ('"paused": false', '"paused": 1'),
        ("}", ""),
        ("}", ', "more": 1}'),
    ],
)
def test_what_no_training_says_is_refused(old: str, new: str) -> None:
    line = line_of(Moment(2, 3, 0.5, 0.5, 100.0, 4.0))
    assert old in line
    with pytest.raises(ValueError, match=r"."):
        read_moment(line.replace(old, new))
