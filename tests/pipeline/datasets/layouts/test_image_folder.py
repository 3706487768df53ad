"""Class folders as people have them: nested, wrapped, linked, empty, full of other things."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from device_runtime.formats.dataset import load_dataset, read_description
from pipeline.datasets.convert import ConvertOptions, convert, look_at
from pipeline.datasets.photographs.account import read_account
from pipeline.errors import DatasetError
from tests.pipeline.datasets.image_files import converted, images_of, write_folders, write_heic, write_image


def told(source: Path, *classes: str) -> list[str]:
    """The warnings of a conversion."""
    lines: list[str] = []
    convert(source, source.parent / "build", ConvertOptions(classes=classes), on_warning=lines.append, workers=1)
    return lines


def refusal(source: Path, *classes: str) -> str:
    """The error's one line; nothing stays."""
    with pytest.raises(DatasetError) as caught:
        converted(source, *classes)
    assert not (source.parent / "build").exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_class_whose_images_lie_one_folder_deeper_is_a_class(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("a", "b"), 10)
    for number in range(10):
        write_image(tmp_path / "in" / "c" / f"session{number % 2}" / f"{number}.png", 100 + number)
    dataset = converted(tmp_path / "in")
    assert dataset.classes == ("a", "b", "c")
    assert sum(name.startswith("c/session") for name in images_of(dataset)) == 10


def test_the_folder_that_holds_all_may_be_a_link_but_not_one_that_leads_round(tmp_path: Path) -> None:
    write_folders(tmp_path / "elsewhere", ("a", "b"), 5)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "images").symlink_to(tmp_path / "elsewhere")
    assert converted(tmp_path / "in").classes == ("a", "b")
    (tmp_path / "other" / "inner").mkdir(parents=True)
    (tmp_path / "other" / "inner" / "round").symlink_to(tmp_path / "other")
    with pytest.raises(DatasetError, match="holds no dataset"):
        converted(tmp_path / "other")


@pytest.mark.parametrize("inner", ["PetImages", "data/images"])
def test_classes_that_all_lie_deeper_are_found_and_it_is_told(inner: str, tmp_path: Path) -> None:
    write_folders(tmp_path / "in" / inner, ("Cat", "Dog"), 10)
    (tmp_path / "in" / "readme.txt").write_text("x")
    assert f"everything lies in {inner}/ there" in told(tmp_path / "in")
    dataset = converted(tmp_path / "in")
    assert dataset.classes == ("Cat", "Dog")
    assert dataset.description.name == "in"


def test_twelve_numbers_are_twelve_classes_in_their_order(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", tuple(str(number) for number in range(1, 13)), 3)
    assert converted(tmp_path / "in").classes == tuple(str(number) for number in range(1, 13))


@pytest.mark.parametrize("names", [("2", "010", "9"), ("-1", "0", "11")])
def test_whole_numbers_of_any_spelling_are_in_order(names: tuple[str, ...], tmp_path: Path) -> None:
    write_folders(tmp_path / "in", names, 3)
    assert converted(tmp_path / "in").classes == tuple(sorted(names, key=int))


def test_names_that_are_not_all_numbers_are_sorted_as_text(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("10", "9", "x"), 3)
    assert converted(tmp_path / "in").classes == ("10", "9", "x")


def test_every_class_without_a_usable_image_is_named_with_the_reason(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("a", "b"), 20)
    (tmp_path / "in" / "c").mkdir()
    (tmp_path / "in" / "d" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "d" / "sub" / "notes.txt").write_text("x")
    (tmp_path / "in" / "e").mkdir()
    (tmp_path / "in" / "e" / "x.jpg").write_bytes(b"")
    line = refusal(tmp_path / "in")
    assert "the class c has no usable image: it is empty" in line
    assert "the class d has no usable image: files that are no images 1 (d/sub/notes.txt)" in line
    assert "the class e has no usable image: damaged 1 (e/x.jpg is empty)" in line
    assert converted(tmp_path / "in", "a", "b").classes == ("a", "b")


def test_a_class_of_heic_is_read_with_pillow_heif(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("a", "b"), 5)
    for number in range(5):
        write_heic(tmp_path / "in" / "c" / f"IMG_{number}.HEIC", (40 * number, 90, 0))
    assert len([name for name in images_of(converted(tmp_path / "in")) if name.startswith("c/")]) == 5


def test_a_class_of_heic_is_named_without_pillow_heif(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The processes that decode are started anew, so the package has to be hidden from those: by one that fails.
    hidden = tmp_path / "hidden" / "pillow_heif"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ModuleNotFoundError('pillow_heif')")
    monkeypatch.syspath_prepend(str(tmp_path / "hidden"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hidden"))
    write_folders(tmp_path / "in", ("a", "b"), 20)
    write_heic(tmp_path / "in" / "c" / "x.heic")
    line = refusal(tmp_path / "in")
    assert "the class c has no usable image: HEIC, which `pip install pillow-heif` lets this read, 1 (c/x.heic)" in line
    # Beside others it is left out, however many there are: nothing is damaged.
    write_image(tmp_path / "in" / "c" / "y.png", 999)
    lines = told(tmp_path / "in")
    assert lines[0] == "left out: HEIC, which `pip install pillow-heif` lets this read, 1 (c/x.heic)"


def test_tiff_among_others_is_read(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("a", "b"), 5)
    for suffix in ("tif", "TIFF", "avif", "ppm"):
        write_image(tmp_path / "in" / "a" / f"x.{suffix}", 400 + len(suffix))
    assert len(images_of(converted(tmp_path / "in"))) == 14


def test_a_class_of_one_and_of_two_images_is_told(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("a", "b"), 10)
    write_image(tmp_path / "in" / "one" / "x.png", 200)
    write_image(tmp_path / "in" / "two" / "x.png", 201)
    write_image(tmp_path / "in" / "two" / "y.png", 202)
    lines = told(tmp_path / "in")
    assert "classes without an image for test: one" in lines
    assert "classes without an image for validation: one, two" in lines
    splits = converted(tmp_path / "in").splits
    counts = {name: np.bincount(split.labels, minlength=4).tolist() for name, split in splits.items()}
    assert counts == {"train": [6, 6, 1, 1], "test": [2, 2, 0, 1], "validation": [2, 2, 0, 0]}


def test_links_are_followed_and_what_they_lead_to_is_there_once(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("a", "b"), 10)
    write_folders(tmp_path / "elsewhere", ("c", "more"), 6)
    shutil.move(tmp_path / "elsewhere" / "more", tmp_path / "more")
    write_image(tmp_path / "single.png", 999)
    links = {
        "c": tmp_path / "elsewhere" / "c",
        "a/more": tmp_path / "more",
        "a/again": tmp_path / "more",
        "a/single.png": tmp_path / "single.png",
        "a/up": Path(".."),
        "a/above": tmp_path,
        "b/self": Path("self"),
        "b/gone.png": tmp_path / "gone.png",
        "b/here": Path(),
    }
    for name, target in links.items():
        (tmp_path / "in" / name).symlink_to(target)
    names = images_of(converted(tmp_path / "in"))
    assert len(names) == 10 + 10 + 6 + 6 + 1
    line = told(tmp_path / "in")[0]
    assert "links that lead back to a folder above 3 (a/above, a/up, b/here)" in line
    assert "links to what is there already 1 (a/more)" in line
    assert "broken links 2 (b/gone.png, b/self)" in line


def test_a_folder_named_as_an_image_and_what_is_no_file_are_left_out(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("a", "b"), 10)
    (tmp_path / "in" / "a" / "x.jpg").mkdir()
    os.mkfifo(tmp_path / "in" / "b" / "pipe.png")
    line = told(tmp_path / "in")[0]
    assert "empty folders named like images 1 (a/x.jpg)" in line
    assert "things that are neither files nor folders 1 (b/pipe.png)" in line
    write_image(tmp_path / "in" / "a" / "x.jpg" / "y.png", 500)
    assert "a/x.jpg/y.png" in images_of(converted(tmp_path / "in"))


def test_what_lies_beside_the_classes_is_counted(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("a", "b"), 10)
    write_image(tmp_path / "in" / "overview.png", 500)
    for name in ("README.txt", "labels.json", "Thumbs.db", ".DS_Store", "desktop.ini"):
        (tmp_path / "in" / name).write_text("x")
    assert told(tmp_path / "in") == [
        "left out: files that are no images 2 (README.txt, labels.json); "
        "images outside of every class's folder 1 (overview.png)"
    ]


def test_names_of_any_bytes_reach_the_dataset(tmp_path: Path) -> None:
    classes = [os.fsdecode(name) for name in (b"caf\xe9", b"new\nline", b"x" * 255)]
    for label, name in enumerate(classes):
        (tmp_path / "in" / name).mkdir(parents=True)
        for number in range(5):
            file = b"n%d\n\xff.png" % number if number else b"y" * 251 + b".png"
            image = Image.new("RGB", (12, 9), (label * 50, number * 40, 0))
            image.save(tmp_path / "in" / name / os.fsdecode(file))
    dataset = converted(tmp_path / "in")
    assert dataset.classes == ("café", "new\nline", "x" * 255)
    pixels, labels = dataset.splits["train"].batch(np.arange(9))
    assert np.array_equal(pixels[:, 0, 0, 0], labels * 50)
    strips = [strip.file for split in dataset.description.splits.values() for strip in split]
    assert all(file.isascii() and file.isprintable() for file in strips)
    assert converted(tmp_path / "in", "new\nline", "café").classes == ("new\nline", "café")


def test_identical_files_are_never_on_both_sides(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("a", "b"), 20)
    for number in range(10):
        shutil.copy(tmp_path / "in" / "a" / f"{number:03}.png", tmp_path / "in" / "a" / f"copy{number}.png")
    shutil.copy(tmp_path / "in" / "a" / "000.png", tmp_path / "in" / "b" / "other.png")
    dataset = converted(tmp_path / "in")
    side = {
        Path(strip.file).name: name
        for name, strips in dataset.description.splits.items()
        for strip in strips
        if "/a/" in strip.file or "other" in strip.file
    }
    assert all(side[f"{n:03}.png.bmp"] == side[f"copy{n}.png.bmp"] for n in range(10))
    assert side["000.png.bmp"] == side["other.png.bmp"]
    lines = told(tmp_path / "in")
    assert any(
        line.startswith("copies of one another, kept in one split: 18 images: a/001.png = a/c") for line in lines
    )
    assert any(
        "in two classes, of which one is wrong: 3 images: a/000.png = a/copy0.png = b/" in line for line in lines
    )


def test_an_image_of_quite_another_size_is_told(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("a", "b"), 10)
    Image.new("RGB", (120, 90)).save(tmp_path / "in" / "a" / "scan.png")
    Image.new("RGB", (100, 80)).save(tmp_path / "in" / "a" / "near.png")
    assert told(tmp_path / "in") == ["images more than 10 times as large or small as 12×9: 1: a/scan.png (120×90)"]


def test_transparent_images_are_told_once_and_stand_on_the_background(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("a", "b"), 10)
    for number in range(3):
        image = Image.new("RGBA", (12, 9), (0, 0, 0, 0))
        image.putpixel((number, 0), (0, 0, 0, 255))
        image.save(tmp_path / "in" / "a" / f"stroke{number}.png")
    assert told(tmp_path / "in") == ["transparent images, put on white: 3; --background chooses another colour"]
    options = ConvertOptions(background=(255, 0, 0))
    dataset = load_dataset(convert(tmp_path / "in", tmp_path / "build", options, workers=1))
    for name, strips in dataset.description.splits.items():
        for index, strip in enumerate(strips):
            if "stroke" in strip.file:
                assert np.all(dataset.splits[name].batch(np.array([index]))[0][0, -1, -1] == [255, 0, 0])


def test_the_depth_of_grey_of_16_bits_is_that_of_all_of_it(tmp_path: Path) -> None:
    for label, name in enumerate(("a", "b")):
        (tmp_path / "in" / name).mkdir(parents=True)
        for number in range(5):
            image = np.full((30, 30), 4095 - 100 * (5 * label + number), np.uint16)
            Image.fromarray(image).save(tmp_path / "in" / name / f"{number}.tif")
    assert told(tmp_path / "in") == ["grey images of 16 bits, none with a number above 4095, taken as 12 bits: 10"]
    dataset = converted(tmp_path / "in")
    brightest = max(int(split.batch(np.arange(len(split)))[0].max()) for split in dataset.splits.values())
    assert brightest == 255


def test_many_more_of_one_class_than_of_another_are_told(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("a",), 31)
    for number in range(3):
        write_image(tmp_path / "in" / "b" / f"{number}.png", 100 + number)
    assert any(line.startswith("a has 31 images, b 3, more than 10 to 1") for line in told(tmp_path / "in"))


def test_the_shelves_of_places_are_no_classes(tmp_path: Path) -> None:
    write_folders(tmp_path / "in" / "a", ("abbey", "attic"), 3)
    write_folders(tmp_path / "in" / "b" / "bus_station", ("indoor",), 3)
    assert "a, b are shelves for classes of that letter: move the folders in them into one" in refusal(tmp_path / "in")


def test_images_without_folders_are_said_to_be_so(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("",), 5)
    assert "holds no dataset: 5 images lie in it, but not in a folder for each class" in refusal(tmp_path / "in")


def test_what_was_told_is_told_again_of_what_is_converted_already(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("a", "b"), 10)
    (tmp_path / "in" / "a" / "notes.txt").write_text("x")
    first = told(tmp_path / "in")
    assert first == told(tmp_path / "in") == ["left out: files that are no images 1 (a/notes.txt)"]
    folder = convert(tmp_path / "in", tmp_path / "build", workers=1)
    assert read_account(folder).left_out == {"a": 1}
    # An empty class that comes later is told too.
    (tmp_path / "in" / "c").mkdir()
    with pytest.raises(DatasetError, match="the class c has no usable image"):
        converted(tmp_path / "in")


def test_looking_says_what_converting_makes_and_writes_nothing(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("a", "b"), 10)
    (tmp_path / "in" / "a" / "notes.txt").write_text("x")
    looked = look_at(tmp_path / "in", workers=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]
    folder = convert(tmp_path / "in", tmp_path / "build", workers=1)
    assert looked.description == read_description(folder)
    assert looked.account == read_account(folder)
