"""Photographs, in folders or as Places has them, become single BMP files in three splits that stay."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from device_runtime.formats.dataset import Dataset, load_dataset, read_description
from pipeline.datasets.convert import ConvertOptions, convert
from pipeline.datasets.photographs.photograph import load_photograph
from pipeline.errors import DatasetError, PipelineError, UsageError
from tests.pipeline.datasets.image_files import colour, converted, images_of, write_folders, write_image


def places_of(dataset: Dataset) -> dict[str, str]:
    """The split of every image by class/file."""
    splits = dataset.description.splits.items()
    return {strip.file.split("/", 1)[1]: name for name, strips in splits for strip in strips}


def test_each_file_of_a_class_folder_is_an_image_of_its_class(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("cat", "dog"))
    dataset = converted(tmp_path / "in")
    assert dataset.classes == ("cat", "dog")
    assert dataset.description.name == "in"
    assert images_of(dataset) == [f"{name}/{number:03}.png" for name in ("cat", "dog") for number in range(20)]
    for name, split in dataset.splits.items():
        pixels, labels = split.batch(np.arange(len(split)))
        assert pixels.shape[1:] == (224, 224, 3)
        for image, label, strip in zip(pixels, labels, dataset.description.splits[name], strict=True):
            number = int(strip.file.split("/")[2][:3])
            assert np.all(image == colour(20 * int(label) + number))


def test_suffixes_of_any_case_count_and_other_files_do_not(tmp_path: Path) -> None:
    write_folders(tmp_path / "in")
    write_image(tmp_path / "in" / "a" / "UPPER.JPG")
    write_image(tmp_path / "in" / "a" / "two.webp")
    write_image(tmp_path / "in" / "a" / "two.bmp")
    write_image(tmp_path / "in" / ".hidden" / "x.png")
    (tmp_path / "in" / "a" / "._UPPER.JPG").write_text("what macOS leaves")
    (tmp_path / "in" / "a" / "notes.txt").write_text("x")
    (tmp_path / "in" / "b" / "Thumbs.db").write_text("what Windows leaves")
    write_image(tmp_path / "in" / "__MACOSX" / "x.png")
    dataset = converted(tmp_path / "in")
    assert dataset.classes == ("a", "b")
    assert len(images_of(dataset)) == 43
    assert {"a/UPPER.JPG", "a/two.webp", "a/two.bmp"} < set(images_of(dataset))


def test_folders_within_a_class_belong_to_it(tmp_path: Path) -> None:
    write_folders(tmp_path / "in")
    write_image(tmp_path / "in" / "a" / "more" / "deep" / "000.png")
    write_image(tmp_path / "in" / "a" / "more" / "000.png")
    write_image(tmp_path / "in" / "a" / ".hidden" / "000.png")
    names = images_of(converted(tmp_path / "in"))
    assert {"a/000.png", "a/more/000.png", "a/more/deep/000.png"} < set(names)
    assert len(names) == 42


def test_all_classes_are_taken_unless_some_are_named(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", tuple("lkjihgfedcba"), 4)
    assert converted(tmp_path / "in").classes == tuple("abcdefghijkl")
    dataset = converted(tmp_path / "in", "l", "a", "c", "d")
    assert dataset.classes == ("l", "a", "c", "d")
    assert {name.split("/")[0] for name in images_of(dataset)} == {"l", "a", "c", "d"}


def test_an_unknown_class_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    write_folders(tmp_path / "in")
    with pytest.raises(UsageError, match="has no class 'z'; it has a, b"):
        converted(tmp_path / "in", "a", "z")
    with pytest.raises(UsageError, match="twice"):
        converted(tmp_path / "in", "a", "a")


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("only",))
    with pytest.raises(DatasetError, match="at least two classes, here is only only"):
        converted(tmp_path / "in")


def test_an_image_stays_in_its_split_when_classes_come(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("b", "c"))
    before = places_of(converted(tmp_path / "in"))
    # Of other colours: what is the same stays together.
    for number in range(20):
        write_image(tmp_path / "in" / "a" / f"{number:03}.png", 100 + number)
    after = places_of(converted(tmp_path / "in"))
    assert len(after) == 60
    assert {name: after[name] for name in before} == before


def test_twenty_images_of_each_class_are_twelve_four_and_four(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", tuple("abcde"))
    splits = converted(tmp_path / "in").splits
    counts = {name: np.bincount(split.labels).tolist() for name, split in splits.items()}
    assert counts == {"train": [12] * 5, "test": [4] * 5, "validation": [4] * 5}


def test_two_workers_make_what_one_makes(tmp_path: Path) -> None:
    write_folders(tmp_path / "in")
    one = convert(tmp_path / "in", tmp_path / "one", workers=1)
    two = convert(tmp_path / "in", tmp_path / "two", workers=2)
    files = sorted(path.relative_to(one) for path in one.rglob("[!.]*") if path.is_file())
    assert files == sorted(path.relative_to(two) for path in two.rglob("[!.]*") if path.is_file())
    assert all((one / file).read_bytes() == (two / file).read_bytes() for file in files)


def test_progress_counts_to_the_number_of_images(tmp_path: Path) -> None:
    write_folders(tmp_path / "in")
    calls: list[tuple[int, int]] = []
    convert(tmp_path / "in", tmp_path / "build", on_progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, 40) for done in range(1, 41)]


def test_one_broken_image_of_a_hundred_is_named_and_left_out(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", count=50)
    (tmp_path / "in" / "b" / "007.png").write_bytes(b"")
    warnings: list[str] = []
    dataset = load_dataset(convert(tmp_path / "in", tmp_path / "build", on_warning=warnings.append, workers=1))
    assert warnings == ["left out: damaged 1 (b/007.png is empty)"]
    assert len(images_of(dataset)) == 99
    assert "b/007.png" not in images_of(dataset)


def test_without_a_listener_a_broken_image_is_named_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folders(tmp_path / "in", count=50)
    (tmp_path / "in" / "b" / "007.png").write_text("text")
    convert(tmp_path / "in", tmp_path / "build", workers=1)
    assert "007.png is no JPEG" in capsys.readouterr().err


def test_more_than_one_broken_of_a_hundred_stop_the_run_and_are_all_named(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", count=50)
    (tmp_path / "in" / "a" / "003.png").write_text("text")
    cut = tmp_path / "in" / "b" / "004.png"
    cut.write_bytes(cut.read_bytes()[:48])
    with pytest.raises(DatasetError, match="2 of 100 images are broken") as caught:
        converted(tmp_path / "in")
    assert "003.png is no JPEG" in str(caught.value)
    assert "004.png cannot be decoded" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "build").exists()


def test_too_few_images_for_three_splits_are_refused(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", count=1)
    with pytest.raises(DatasetError, match="of 2 images none fell into"):
        converted(tmp_path / "in")


def test_an_image_of_20_000_by_20_000_pixels_is_converted(tmp_path: Path) -> None:
    write_folders(tmp_path / "in")
    Image.new("L", (20_000, 20_000), 90).save(tmp_path / "in" / "a" / "wide.png", compress_level=1)
    dataset = converted(tmp_path / "in")
    assert "a/wide.png" in images_of(dataset)
    split = places_of(dataset)["a/wide.png.bmp"]
    index = [strip.file for strip in dataset.description.splits[split]].index(f"{split}/a/wide.png.bmp")
    assert np.all(dataset.splits[split].batch(np.array([index]))[0] == 90)


def test_what_did_not_change_is_not_converted_again(tmp_path: Path) -> None:
    write_folders(tmp_path / "in")
    first = convert(tmp_path / "in", tmp_path / "build", workers=1)
    time = (first / "dataset.json").stat().st_mtime_ns
    assert convert(tmp_path / "in", tmp_path / "build", workers=2) == first
    assert (first / "dataset.json").stat().st_mtime_ns == time
    os.utime(tmp_path / "in" / "a" / "000.png", ns=(1, 1))
    assert convert(tmp_path / "in", tmp_path / "build", workers=1) != first
    assert convert(tmp_path / "in", tmp_path / "build", ConvertOptions(seed=5), workers=1) != first


def test_real_photographs_are_converted(tmp_path: Path, shared_data: Path) -> None:
    folder = convert(shared_data / "scenes", tmp_path / "build")
    description = read_description(folder)
    counts = {name: len(strips) for name, strips in description.splits.items()}
    assert counts == {"train": 600, "test": 200, "validation": 200}
    strip = description.splits["train"][0]
    original = shared_data / "scenes" / strip.file.removesuffix(".bmp").removeprefix("train/")
    pixels, _ = load_dataset(folder).splits["train"].batch(np.array([0]))
    assert np.array_equal(pixels[0], load_photograph(original))


def test_a_build_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    write_folders(tmp_path / "in")
    (tmp_path / "build").write_text("a file")
    with pytest.raises(PipelineError, match="build"):
        convert(tmp_path / "in", tmp_path / "build", workers=1)
