"""labels.csv beside images: as people and their programs write it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.layouts.table import find_table
from pipeline.errors import DatasetError
from tests.pipeline.datasets.image_files import converted, images_of, write_folders, write_image
from tests.pipeline.datasets.layouts.test_image_folder import refusal, told

ROWS = [(f"{number:03}.png", ("dog", "cat")[number % 2]) for number in range(20)]


def write_table(folder: Path, text: str | bytes, images: str = "") -> Path:
    """Twenty images and a table."""
    for number in range(20):
        write_image(folder / images / f"{number:03}.png", number)
    content = text.encode() if isinstance(text, str) else text
    (folder / "labels.csv").write_bytes(content)
    return folder


def lines(separator: str = ",", start: str = "", ending: str = "\n") -> str:
    return start + "".join(f"{file}{separator}{label}{ending}" for file, label in ROWS)


PLAIN = lines(start="file,label\n")
TABLES: dict[str, str | bytes] = {
    "with a heading": PLAIN,
    "without a heading": lines(),
    "with a heading of its own": lines(start="Bild,Art\n"),
    "of Windows": lines(start="File,Label\r\n", ending="\r\n"),
    "of Excel": PLAIN.encode("utf-8-sig"),
    "of Excel's Unicode text": lines("\t", "file\tlabel\n").encode("utf-16"),
    "of a German Excel": lines(";", "file;label\n"),
    "with other columns": "id,label,file\n" + "".join(f"{n},{label},{file}\n" for n, (file, label) in enumerate(ROWS)),
    "with quotes and spaces": "".join(f'"{file}", "{label}"\n' for file, label in ROWS),
    "without suffixes": PLAIN.replace(".png", ""),
    "with blank lines": PLAIN.replace("\n", "\n\n"),
    "with a dot": "".join(f"./{file},{label}\n" for file, label in ROWS),
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_says_each_images_class(kind: str, tmp_path: Path) -> None:
    dataset = converted(write_table(tmp_path / "in", TABLES[kind]))
    assert dataset.classes == ("cat", "dog")
    assert images_of(dataset) == sorted(f"{label}/{file}" for file, label in ROWS)


@pytest.mark.parametrize("named", ["", "images/", "images\\"])
def test_images_may_lie_in_a_folder(named: str, tmp_path: Path) -> None:
    text = "".join(f"{named}{file},{label}\n" for file, label in ROWS)
    assert len(images_of(converted(write_table(tmp_path / "in", text, "images")))) == 20


def test_its_splits_are_kept(tmp_path: Path) -> None:
    names = ("train", "Train", "val", "test")
    text = "file,label,split\n" + "".join(f"{f},{la},{names[n // 2 % 4]}\n" for n, (f, la) in enumerate(ROWS))
    splits = converted(write_table(tmp_path / "in", text)).splits
    counts = {name: np.bincount(split.labels).tolist() for name, split in splits.items()}
    assert counts == {"train": [6, 6], "test": [2, 2], "validation": [2, 2]}


def test_labels_that_are_numbers_are_in_order_and_choose(tmp_path: Path) -> None:
    text = "".join(f"{file},{(9, 10, 100)[n % 3]}\n" for n, (file, _) in enumerate(ROWS))
    write_table(tmp_path / "in", text)
    assert converted(tmp_path / "in").classes == ("9", "10", "100")
    assert converted(tmp_path / "in", "100", "9").classes == ("100", "9")


def test_classes_of_any_characters_are_kept(tmp_path: Path) -> None:
    names = ("a/b, c", "new\nline")
    text = "".join(f'{file},"{names[n % 2]}"\n' for n, (file, _) in enumerate(ROWS))
    dataset = converted(write_table(tmp_path / "in", text))
    assert dataset.classes == ("a/b, c", "new\nline")
    assert all(strip.file.count("/") == 2 for split in dataset.description.splits.values() for strip in split)


def test_a_table_in_latin_1_finds_files_of_any_encoding(tmp_path: Path) -> None:
    write_table(tmp_path / "in", (PLAIN + "café.png,cat\n").encode("latin-1"))
    write_image(tmp_path / "x.png", 500)
    (tmp_path / "x.png").rename(tmp_path / "in" / os.fsdecode(b"caf\xe9.png"))
    assert len(images_of(converted(tmp_path / "in"))) == 21


def test_images_that_no_row_names_and_rows_that_repeat_are_left_out(tmp_path: Path) -> None:
    write_table(tmp_path / "in", PLAIN + "000.png,dog\n")
    write_image(tmp_path / "in" / "other.png", 500)
    line = told(tmp_path / "in")[0]
    assert line == "left out: images that no row names 1 (other.png); rows that say again what one says 1 (000.png)"


def test_a_file_that_is_missing_or_a_folder_is_damage(tmp_path: Path) -> None:
    write_table(tmp_path / "in", PLAIN + "gone.png,cat\nfolder.jpg,dog\n")
    (tmp_path / "in" / "folder.jpg").mkdir()
    line = refusal(tmp_path / "in")
    assert "2 of 22 images are broken" in line
    assert "gone.png is missing" in line
    assert "folder.jpg is a folder" in line


WRONG = {
    "no label": ("020.png\n", "row 22 is not a file and a label: '020.png'"),
    "empty label": ("020.png,\n", "row 22 is not a file and a label"),
    "out of the folder": ("../x.png,cat\n", "row 22 names '../x.png', which is not in the folder"),
    "an absolute path": ("/etc/passwd,cat\n", "row 22 names '/etc/passwd', which is not in the folder"),
    "a drive": ("C:\\x.png,cat\n", "which is not in the folder"),
    "a contradiction": ("000.png,cat\n", "row 22 says of 000.png something else than row 2"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_rows_that_cannot_be_meant_are_named(kind: str, tmp_path: Path) -> None:
    text, message = WRONG[kind]
    assert message in refusal(write_table(tmp_path / "in", PLAIN + text))


def test_an_unknown_split_is_named(tmp_path: Path) -> None:
    text = "file,label,split\n" + "".join(f"{f},{la},dev\n" for f, la in ROWS)
    assert "row 2 has the split 'dev', not train, test or validation" in refusal(write_table(tmp_path / "in", text))


def test_a_pipe_and_a_name_longer_than_any_are_not_waited_for(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("a", "b"))
    os.mkfifo(tmp_path / "in" / "labels.csv")
    assert find_table(tmp_path / "in") is None
    write_table(tmp_path / "loose", f"{lines()}{'x' * 300}.png,dog\n")
    with pytest.raises(DatasetError, match=r"row 21 names 'xxx.*', which is not in the folder"):
        find_table(tmp_path / "loose")


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    assert "it is empty" in refusal(write_table(tmp_path / "in", ""))


def test_a_table_of_something_else_beside_classes_is_no_table(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("a", "b"), 10)
    (tmp_path / "in" / "labels.csv").write_text("ClassId,Name\n0,stop\n1,go\n")
    assert converted(tmp_path / "in").classes == ("a", "b")


def test_a_class_that_no_row_names_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "in", PLAIN)
    with pytest.raises(Exception, match="has no class 'bird'; it has cat, dog"):
        converted(tmp_path / "in", "cat", "bird")


def test_a_single_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="at least two classes"):
        converted(write_table(tmp_path / "in", "000.png,a\n001.png,a\n"))
