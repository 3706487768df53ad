"""Numbers over steps as lines, whatever numbers they are."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.results.pages.charts import Line, charts_of, draw
from pipeline.results.records.training import Curve, read_training
from tests.pipeline.results.made import metrics, write_metrics


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_there_is_a_chart_for_each_number_that_was_recorded(tmp_path: Path) -> None:
    write_metrics(tmp_path, metrics())
    names = [picture.name for picture in charts_of(read_training(tmp_path))]
    assert names == ["loss", "accuracy", "learning_rate", "step_time", "memory", "temperature", "battery"]
    write_metrics(tmp_path, metrics()[:2])
    assert [picture.name for picture in charts_of(read_training(tmp_path))] == ["loss", "learning_rate", "step_time"]


@pytest.mark.parametrize("unit", ["loss", "ms", "accuracy", "learning rate", "%"])
@pytest.mark.parametrize(
    ("steps", "values"),
    [
        ((1,), (0.0,)),
        ((1, 2), (0.5, 0.5)),
        ((1, 2, 3), (1e308, -1e308, 1e-320)),
        ((2**63 - 1, -(2**63)), (1, 2)),
        (range(1, 60), [10.0**power for power in range(59)]),
    ],
    ids=["one", "equal", "wide", "far", "growing"],
)
def test_any_numbers_are_drawn(
    unit: str, steps: Sequence[int], values: Sequence[float], capfd: pytest.CaptureFixture[str]
) -> None:
    png = draw(unit, [Line("", Curve(tuple(steps), tuple(values)), noisy=True)])
    assert (pixels(png) != 255).any()
    assert capfd.readouterr() == ("", "")


def test_a_million_steps_are_drawn_with_their_peaks() -> None:
    values = np.full(1_000_000, 1.0)
    values[500_000] = 100
    line = Line("", Curve(tuple(range(1_000_000)), tuple(values.tolist())))
    flat = Line("", Curve((0, 999_999), (1.0, 100.0)))
    peak, span = pixels(draw("accuracy of it", [line])), pixels(draw("accuracy of it", [flat]))
    blue = [np.flatnonzero((image == (0, 0x72, 0xB2)).all(axis=2).any(axis=1)).min() for image in (peak, span)]
    assert abs(blue[0] - blue[1]) <= 5


def test_lines_are_told_apart_by_more_than_their_colours() -> None:
    curve = Curve((1, 100), (0.0, 1.0))
    solid, dashed = (pixels(draw("loss", [Line("", curve, look=look)])) for look in (0, 7))
    assert (solid != 255).sum() > (dashed != 255).sum()


def test_single_points_have_no_dashes_and_are_told_apart_by_their_marks() -> None:
    point = Curve((1,), (0.5,))
    first, second = (pixels(draw("accuracy", [Line("", point, look=look)])) for look in (0, 7))
    assert (first != second).any()


def test_a_name_of_any_length_leaves_the_lines_their_room() -> None:
    curve = Curve((1, 100), (0.0, 1.0))
    widths = []
    for label in ("test", "z" * 300):
        blue = (pixels(draw("loss", [Line(label, curve)])) == (0, 0x72, 0xB2)).all(axis=2).any(axis=0)
        widths.append(np.ptp(np.flatnonzero(blue)))
    assert widths[1] > 0.9 * widths[0]


def test_a_loss_over_many_powers_of_ten_has_numbers_beside_its_axis() -> None:
    image = pixels(draw("loss", [Line("", Curve(tuple(range(60)), tuple(10.0 ** (power / 6) for power in range(60))))]))
    axis = np.flatnonzero((image == 0).all(axis=2).mean(axis=0) > 0.5).min()
    # Formulas, written out, would take a third.
    assert axis < 0.2 * image.shape[1]
