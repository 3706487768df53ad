"""Places' own layout: its tables say which image is of which class, and what is wrong in them is said at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import DatasetError
from tests.pipeline.datasets.image_files import converted, images_of, write_places

CATEGORIES = ["/a/airfield", "/a/attic", "/b/bus_station/indoor", "/z/zen_garden"]
ROWS = [(f"Places365_val_{number:08}.jpg", (3, 0, 2)[number % 3]) for number in range(1, 61)]


def test_places_own_layout_is_read(tmp_path: Path) -> None:
    write_places(tmp_path / "in", ROWS, CATEGORIES)
    dataset = converted(tmp_path / "in")
    assert dataset.classes == ("airfield", "bus_station-indoor", "zen_garden")
    names = ["zen_garden", "airfield", "bus_station-indoor"]
    assert images_of(dataset) == sorted(f"{names[number % 3]}/{ROWS[number - 1][0]}" for number in range(1, 61))


@pytest.mark.parametrize("name", ["bus_station/indoor", "/b/bus_station/indoor", "bus_station-indoor"])
def test_classes_of_places_are_picked_in_any_spelling(tmp_path: Path, name: str) -> None:
    write_places(tmp_path / "in", ROWS, CATEGORIES)
    dataset = converted(tmp_path / "in", "zen_garden", name)
    assert dataset.classes == ("zen_garden", "bus_station-indoor")
    assert len(images_of(dataset)) == 40


def test_places_takes_the_ten_lowest_labels_that_are_named(tmp_path: Path) -> None:
    rows = [(f"{number:03}.jpg", 14 - number % 14) for number in range(56)]
    write_places(tmp_path / "in", rows, [f"/c/c{number:02}" for number in range(20)])
    assert converted(tmp_path / "in").classes == tuple(f"c{number:02}" for number in range(1, 11))


def test_tables_that_went_through_windows_are_read(tmp_path: Path) -> None:
    write_places(tmp_path / "in", ROWS, CATEGORIES)
    for name in ("places365_val.txt", "categories_places365.txt"):
        text = (tmp_path / "in" / name).read_text()
        (tmp_path / "in" / name).write_text(text.replace("\n", "\r\n"), encoding="utf-8-sig", newline="")
    dataset = converted(tmp_path / "in")
    assert dataset.classes == ("airfield", "bus_station-indoor", "zen_garden")
    assert len(images_of(dataset)) == 60


@pytest.mark.parametrize("name", ["places365_val.txt", "categories_places365.txt"])
def test_a_missing_table_of_places_is_named(tmp_path: Path, name: str) -> None:
    write_places(tmp_path / "in", ROWS, CATEGORIES)
    (tmp_path / "in" / name).unlink()
    with pytest.raises(DatasetError, match=f"lacks {name}"):
        converted(tmp_path / "in")


def test_everything_wrong_in_the_tables_of_places_is_said_at_once(tmp_path: Path) -> None:
    write_places(tmp_path / "in", ROWS, CATEGORIES)
    with (tmp_path / "in" / "places365_val.txt").open("a") as file:
        file.write(f"Places365_val_00000061.jpg 365\nnonsense\n../../etc/passwd 0\n{ROWS[7][0]} 0\n")
        file.write(f".. 0\n\0.jpg 0\n{'x' * 256} 0\na.jpg {'1' * 5000}\nb.jpg ²\n")
    with (tmp_path / "in" / "categories_places365.txt").open("a") as file:
        file.write("/ 9\n")
    with pytest.raises(DatasetError) as caught:
        converted(tmp_path / "in")
    for part in (
        "label 365",
        "line 62 is not a name and a label: 'nonsense'",
        "'../../etc/passwd' is not the name",
        f"{ROWS[7][0]} twice",
        "'..' is not the name",
        r"'\x00.jpg' is not the name",
        f"'{'x' * 60}' is not the name",
        "line 68 is not a name and a label: 'a.jpg 111",
        "line 69 is not a name and a label: 'b.jpg",
        "line 5 is not a name and a label: '/ 9'",
    ):
        assert part in str(caught.value)


def test_images_of_places_that_are_missing_are_named(tmp_path: Path) -> None:
    write_places(tmp_path / "in", ROWS, CATEGORIES)
    (tmp_path / "in" / "val_256" / ROWS[4][0]).unlink()
    with pytest.raises(DatasetError, match=f"1 of 60 images are broken.*{ROWS[4][0]} is missing"):
        converted(tmp_path / "in")
