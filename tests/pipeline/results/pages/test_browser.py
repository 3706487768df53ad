"""The pages as a browser shows them, from a file: on a phone and on a desktop nothing overlaps, is cut or missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.results.pages.comparison import compare
from pipeline.results.pages.report import write_report
from tests.browser import faults
from tests.pipeline.results.made import guessed, metrics, write_dataset, write_metrics, write_results

PHONE, DESKTOP = 400, 1280
ODD = ("<b>\n\"one, 'two'\"</b>", "x" * 255, "a rather long name of several words, as people give them", "漢字 $x_1$")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of classes with odd names, half of them confused."""
    folder = tmp_path_factory.mktemp("results")
    labels = [label for label in range(4) for _ in range(10)]
    guesses = [(label + number % 2) % 4 for number, label in enumerate(labels)]
    dataset = write_dataset(folder / "dataset", ODD, [10] * 4)
    write_report(write_results(folder / "20261127-062012-lenet-arm64", ODD, guessed(labels, guesses)), dataset)
    return folder / "20261127-062012-lenet-arm64"


def test_a_report_with_names_of_any_length(whole: Path) -> None:
    assert faults(whole / "report.html", PHONE, DESKTOP) == []


def test_a_report_of_a_thousand_classes(tmp_path: Path) -> None:
    classes = tuple(f"class of the number {index}" for index in range(1000))
    results = write_results(tmp_path / "many", classes, guessed(list(range(1000)), [0] * 1000))
    assert faults(write_report(results), PHONE, DESKTOP) == []


def test_a_report_of_a_training_that_diverged(tmp_path: Path) -> None:
    advice = "give a smaller --learning-rate than 1e+30, or package with --clip-norm"
    ended = {"event": "diverged", "step": 2, "what": "the loss is nan", "advice": advice, "file": None}
    write_metrics(tmp_path / "run", [*metrics()[:2], ended])
    assert faults(write_report(tmp_path / "run"), PHONE, DESKTOP) == []


def test_a_comparison_of_many_runs(whole: Path, tmp_path: Path) -> None:
    names = [f"20261127-06{number}-a-model-with-a-long-name-arm64" for number in range(9)]
    folders = [
        write_results(tmp_path / name, ODD, guessed([0, 1], [1, 1]), learning_rate=0.1 * number, model=ODD[1][:80])
        for number, name in enumerate(names)
    ]
    assert faults(compare([whole, *folders], tmp_path / "comparison.html"), PHONE, DESKTOP) == []


def test_what_overflows_or_overlaps_or_asks_the_network_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        '<!doctype html><meta name="viewport" content="width=device-width"><p style="width:600px">wide</p>'
        '<p style="margin-top:-2rem">over it</p><img src="http://127.0.0.1:1/a.png" alt="far">'
    )
    found = faults(page, PHONE)
    assert "it asks for http://127.0.0.1:1/a.png" in found
    assert {fault.split(":")[1].strip() for fault in found[1:]} == {
        "the page scrolls sideways",
        "out",
        "overlap",
        "no picture",
    }
