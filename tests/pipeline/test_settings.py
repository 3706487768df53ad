"""What the options say, as the stages get it."""

from __future__ import annotations

from pipeline.options import listed


def test_spaces_around_commas_are_not_meant() -> None:
    assert listed("head.*, body.0.*") == ("head.*", "body.0.*")
