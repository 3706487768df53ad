"""Lines that a user reads."""

from __future__ import annotations

from device_runtime.console import each_line


def test_a_class_without_samples_is_left_out_and_a_name_is_one_line() -> None:
    names = ("a\nb", "Käse", "none", "beyond")
    each = [{"f1": 0.98765, "count": 3}, {"f1": 1.0, "count": 2}, {"f1": 0.0, "count": 0}]
    assert each_line(names, each) == "f1 of each: a?b 0.988, Käse 1"


def test_of_many_the_lowest_are_named() -> None:
    names = [f"class {k}" for k in range(100)]
    each = [{"r2": 1 - k / 1000, "count": 1} for k in range(100)]
    assert each_line(names, each) == (
        "r2 of the lowest of 100: class 99 0.901, class 98 0.902, class 97 0.903, class 96 0.904, class 95 0.905"
    )
