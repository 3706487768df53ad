"""Rows of text in columns."""

from __future__ import annotations

from pipeline.tables.columns import columns


def test_texts_stand_to_the_left_and_numbers_to_the_right() -> None:
    assert columns([["name", "count"], ["a", "12"], ["longer", ""]], numbers=(1,)) == [
        "name    count",
        "a          12",
        "longer",
    ]


def test_names_of_any_script_take_the_room_that_a_terminal_gives_them() -> None:
    assert columns([["漢字", "1"], ["cafe\u0301", "2"], ["plain", "3"]]) == ["漢字   1", "cafe\u0301   2", "plain  3"]
