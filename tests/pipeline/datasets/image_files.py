"""Folders of small photographs for tests."""

from __future__ import annotations

from pathlib import Path

import pillow_heif
from PIL import Image

from device_runtime.formats.dataset import Dataset, load_dataset
from pipeline.datasets.convert import ConvertOptions, convert

SIZE = (12, 9)


def colour(number: int) -> tuple[int, int, int]:
    """A colour of its own for each number below 4096."""
    return (number % 16 * 17, number // 16 % 16 * 17, number // 256 * 17)


def write_image(path: Path, number: int = 0) -> None:
    """A small picture of one colour, in the format of the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", SIZE, colour(number)).save(path)


def write_heic(path: Path, colour: tuple[int, int, int] = (1, 2, 3)) -> None:
    """A small HEIC picture, whatever the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pillow_heif.from_pillow(Image.new("RGB", (64, 48), colour)).save(path)


def write_folders(folder: Path, classes: tuple[str, ...] = ("a", "b"), count: int = 20) -> None:
    """`count` PNGs of different colours in a folder for each class."""
    for label, name in enumerate(classes):
        for number in range(count):
            write_image(folder / name / f"{number:03}.png", label * count + number)


def write_places(folder: Path, rows: list[tuple[str, int]], categories: list[str]) -> None:
    """Places' two tables, and an image for each row."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "categories_places365.txt").write_text("".join(f"{name} {i}\n" for i, name in enumerate(categories)))
    (folder / "places365_val.txt").write_text("".join(f"{name} {label}\n" for name, label in rows))
    for number, (name, _) in enumerate(rows):
        write_image(folder / "val_256" / name, number)


def converted(source: Path, *classes: str) -> Dataset:
    """The dataset of a folder, converted into `build` beside it."""
    return load_dataset(convert(source, source.parent / "build", ConvertOptions(classes=classes), workers=1))


def images_of(dataset: Dataset) -> list[str]:
    """class/file of every image, sorted."""
    strips = [strip for split in dataset.description.splits.values() for strip in split]
    assert all(strip.count == 1 for strip in strips)
    assert all(strip.file.split("/")[1] == dataset.classes[strip.label] for strip in strips)
    return sorted("/".join(strip.file.removesuffix(".bmp").split("/")[1:]) for strip in strips)
