"""Names of any bytes become names that every tool on the way takes, each another one."""

from __future__ import annotations

import os

import pytest

from pipeline.datasets.photographs.names import file_name, readable_classes
from pipeline.errors import in_line


def test_plain_names_stay_as_they_are() -> None:
    assert file_name("train", "bus_station-indoor", "IMG (1).jpg") == "train/bus_station-indoor/IMG (1).jpg.bmp"
    assert file_name("test", "a", "more/deep/000.png") == "test/a/more/deep/000.png.bmp"


ODD = {
    "newline": "a\nb.png",
    "tab and quotes": "\t\"'`$x.png",
    "accents": "café.png",
    "Latin-1": os.fsdecode(b"caf\xe9.png"),
    "emoji": "🙂.png",
    "backslash": "a\\b.png",
    "percent": "100%.png",
    "html": "<b>.png",
    "long": "a" * 251 + ".png",
    "long and foreign": "漢" * 80 + ".png",
    "only spaces": "  .png",
    "the folder above": "..",
    "the folder itself": ".",
    "an option": "-rf.png",
    "a command": "$(touch evil);`id`|&.png",
}


@pytest.mark.parametrize("name", ODD)
def test_odd_names_become_portable(name: str) -> None:
    file = file_name("train", ODD[name], ODD[name])
    assert file.isascii()
    assert file.isprintable()
    assert file.count("/") == 2
    assert not set("\\\"'`$<>|*?:;\n") & set(file)
    assert all(0 < len(part) <= 255 for part in file.split("/"))
    assert file.endswith(".bmp")


def test_no_two_names_become_one() -> None:
    names = [
        *ODD.values(),
        "a%0Ab.png",
        "caf%E9.png",
        "100%25.png",
        "a" * 252 + ".png",
        "a" * 250 + "b.png",
        "a/b",
        "a%2Fb",
    ]
    assert len({file_name("train", "class", name) for name in names}) == len(names)
    assert len({file_name("train", name, "x") for name in names}) == len(names)


def test_a_folder_never_has_the_name_of_an_image_beside_it() -> None:
    assert file_name("train", "a", "x.png.bmp/y.png").split("/")[2] != file_name("train", "a", "x.png").split("/")[2]


def test_bytes_that_are_not_utf_8_read_as_latin_1() -> None:
    folder = os.fsdecode(b"caf\xe9")
    assert readable_classes([folder, "dog"]) == ("café", "dog")
    assert readable_classes([folder, "café"]) == ("caf\\xe9", "café")


def test_a_line_stays_one_line() -> None:
    assert in_line(os.fsdecode(b"caf\xe9\n\x1b[31m")) == "café\\n\\x1b[31m"
    assert in_line("a\ud800") == "a\\ud800"
