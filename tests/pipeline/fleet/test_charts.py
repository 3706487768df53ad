"""The pictures of a fleet's report: which there are, and that they show what they are to show."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.fleet.charts import cost_charts, device_charts, global_charts, partition_chart
from pipeline.fleet.history import History, read_history
from pipeline.results.pages.picture import Picture
from tests.pipeline.fleet.made import fleet, write_fleet

BLUE, ORANGE, GREEN, BLACK = (0, 114, 178), (213, 94, 0), (0, 158, 115), (0, 0, 0)


def made(tmp_path: Path, **changed: Any) -> History:
    return read_history(write_fleet(tmp_path, fleet(**changed)))


def pixels(picture: Picture) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB"))


def share(picture: Picture, colour: tuple[int, int, int]) -> float:
    """Of the picture that has exactly that colour."""
    return float((pixels(picture) == colour).all(axis=2).mean())


def test_loss_and_accuracy_are_drawn_with_a_line_for_the_training_in_one_place(tmp_path: Path) -> None:
    with_line = global_charts(made(tmp_path / "a", last=60))
    assert [picture.name for picture in with_line] == ["loss", "accuracy"]
    history = read_history(write_fleet(tmp_path / "b", [r for r in fleet(last=60) if r["event"] != "centralised"]))
    for picture, without in zip(with_line, global_charts(history), strict=True):
        assert share(picture, BLUE) > 0.001
        # A dashed line through all of it, and its name.
        assert share(picture, BLACK) > share(without, BLACK) + 0.001


def test_without_any_whole_round_nothing_is_drawn(tmp_path: Path) -> None:
    history = read_history(write_fleet(tmp_path, fleet()[:1]))
    assert global_charts(history) == device_charts(history) == cost_charts(history.costs) == []
    assert partition_chart(history.members, ()) is None


def test_few_devices_have_a_line_each(tmp_path: Path) -> None:
    charts = device_charts(made(tmp_path, devices=3))
    assert [picture.name for picture in charts] == ["given", "trained"]
    for picture in charts:
        assert min(share(picture, colour) for colour in (BLUE, ORANGE, GREEN)) > 0.0005


def test_many_devices_have_a_row_each_that_is_empty_where_one_was_missing(tmp_path: Path) -> None:
    there, away = (device_charts(made(tmp_path / str(rounds), devices=16, last=8, away=rounds))[1] for rounds in (9, 1))
    white = (255, 255, 255)
    # The last of sixteen rows, which take some two thirds of the picture's area.
    assert share(away, white) - share(there, white) == pytest.approx(0.6 / 16, abs=0.02)
    assert share(there, BLUE) < 0.0005


def test_a_rounds_time_is_parted_into_training_push_pull_and_the_rest(tmp_path: Path) -> None:
    time, sizes = cost_charts(made(tmp_path, away=99).costs)
    pink = (204, 121, 167)
    # 1.8 s of training for 0.4 of the rest, and as much pushed as pulled; legends have some of each, too.
    assert share(time, BLUE) / share(time, pink) == pytest.approx(1.8 / 0.4, rel=0.2)
    assert share(sizes, BLUE) / share(sizes, ORANGE) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize(("devices", "classes"), [(1, 2), (4, 10), (32, 10), (3, 1000)])
def test_who_has_which_images_is_drawn_for_any_number_of_devices_and_classes(
    devices: int, classes: int, tmp_path: Path
) -> None:
    names = tuple(f"class {number}" for number in range(classes))
    history = made(tmp_path, devices=devices, last=1, classes=names)
    picture = partition_chart(history.members, names)
    assert picture
    height, width, _ = pixels(picture).shape
    assert width > 900 and 300 < height < 1500


def test_more_images_are_darker(tmp_path: Path) -> None:
    history = made(tmp_path, devices=1, last=1, classes=("a", "b"))
    member = history.members[0]
    few, many = (
        partition_chart([type(member)(**{**vars(member), "train": (1000, count)})], ("a", "b")) for count in (10, 1000)
    )
    assert few and many
    assert pixels(many).mean() < pixels(few).mean() - 5
