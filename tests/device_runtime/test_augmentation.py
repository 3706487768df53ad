"""Training images are mirrored and shifted, the same way whenever the same epoch is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file

from device_runtime.augmentation import Augmented, Change, changed
from device_runtime.formats.checkpoint import read_checkpoint, untrained_name
from device_runtime.formats.dataset import load_dataset
from device_runtime.formats.model import read_model
from device_runtime.formats.options import OptionsError, parse
from device_runtime.inputs import Inputs, open_inputs
from device_runtime.plan import make_plan
from tests.device_runtime.small_model import execute, write_package

HEIGHT, WIDTH = 24, 33
BOTH = ("flip", "crop")


class Pictures:
    """Images of noise."""

    def __init__(self, count: int, height: int = HEIGHT, width: int = WIDTH) -> None:
        self.pixels = np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)
        self.labels = np.arange(count)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        return self.pixels[indices], self.labels[indices]


def augmented(images: Pictures, *kinds: str, seed: int = 1, epoch: int = 0) -> npt.NDArray[np.uint8]:
    pixels, labels = Augmented(images, kinds, seed, epoch).batch(np.arange(len(images)))
    np.testing.assert_array_equal(labels, images.labels)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    return pixels


def test_a_flip_mirrors_about_half_of_the_images_left_to_right() -> None:
    images = Pictures(200)
    flipped = 0
    for before, after in zip(images.pixels, augmented(images, "flip"), strict=True):
        mirrored = np.array_equal(after, before[:, ::-1])
        assert mirrored or np.array_equal(after, before)
        flipped += mirrored
    assert 70 < flipped < 130


def test_a_crop_is_cut_from_the_image_padded_by_an_eighth() -> None:
    images = Pictures(100)
    images_of_epoch = Augmented(images, ["crop"], 1, 0)
    changes = [images_of_epoch.change(index, HEIGHT, WIDTH) for index in range(len(images))]
    down, right = HEIGHT // 8, WIDTH // 8
    assert {change.down for change in changes} == set(range(-down, down + 1))
    assert {change.right for change in changes} == set(range(-right, right + 1))
    for before, after, change in zip(images.pixels, augmented(images, "crop"), changes, strict=True):
        padded = np.pad(before, ((down, down), (right, right), (0, 0)), "reflect")
        top, left = down - change.down, right - change.right
        np.testing.assert_array_equal(after, padded[top : top + HEIGHT, left : left + WIDTH])


def test_a_flipped_image_is_shifted_after_it_was_mirrored() -> None:
    image = Pictures(1).pixels[0]
    np.testing.assert_array_equal(changed(image, Change(True, 0, 2))[:, 2:], image[:, ::-1][:, :-2])


def test_an_image_of_a_few_pixels_is_not_shifted() -> None:
    images = Pictures(20, 7, 7)
    np.testing.assert_array_equal(augmented(images, "crop"), images.pixels)


def test_seed_epoch_and_image_decide_and_the_batch_does_not() -> None:
    images = Pictures(40)
    every = augmented(images, *BOTH)
    np.testing.assert_array_equal(every, augmented(images, *BOTH))
    np.testing.assert_array_equal(every[[7, 3]], Augmented(images, BOTH, 1, 0).batch(np.array([7, 3]))[0])
    assert not np.array_equal(every, augmented(images, *BOTH, epoch=1))
    assert not np.array_equal(every, augmented(images, *BOTH, seed=2))


def test_the_images_themselves_stay_as_they_are() -> None:
    images = Pictures(10)
    before = images.pixels.copy()
    augmented(images, *BOTH)
    np.testing.assert_array_equal(images.pixels, before)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_package(tmp_path / "package")


def inputs(package: Path, *words: str) -> Inputs:
    dataset = load_dataset(package / "dataset")
    options = parse(["-f", str(package / "model"), "-d", str(package / "dataset"), *words], package)
    folder = package / "model"
    model = read_model(folder)
    plan = make_plan(options, model, read_checkpoint(folder / untrained_name(model), model), 30)
    return open_inputs(plan, folder, model, dataset, package, training=True)


def test_only_training_images_change(package: Path) -> None:
    plain, changing = inputs(package), inputs(package, "--augment", "flip")
    for split in ("train", "test"):
        every = np.arange(len(plain.splits[split]))
        np.testing.assert_array_equal(plain.splits[split].batch(every)[0], changing.splits[split].batch(every)[0])
    every = np.arange(len(plain.splits["train"]))
    first, second = (changing.train(epoch).batch(every)[0] for epoch in range(2))
    assert not np.array_equal(first, plain.train(0).batch(every)[0])
    assert not np.array_equal(first, second)


def test_a_training_that_goes_on_sees_the_same_images(package: Path, tmp_path: Path) -> None:
    words = ("--augment", "flip", "--seed", "3")
    execute(package, tmp_path / "whole", "-c", "30", "-s", "13", *words)
    middle = tmp_path / "whole" / "tiny_trained_13.safetensors"
    execute(package, tmp_path / "rest", "-f", middle, "-c", "17", *words)
    whole, rest = (load_file(tmp_path / name / "tiny_trained_30.safetensors") for name in ("whole", "rest"))
    assert all(np.array_equal(whole[name], rest[name]) for name in whole)
    execute(package, tmp_path / "plain", "-c", "30", "--seed", "3")
    plain = load_file(tmp_path / "plain" / "tiny_trained_30.safetensors")
    assert not np.array_equal(plain["dense.weight"], whole["dense.weight"])


def test_an_unknown_augmentation_gives_one_line(package: Path) -> None:
    with pytest.raises(OptionsError, match="--augment: 'flip,rotate' is not flip, crop, of sound shift, noise, both"):
        inputs(package, "--augment", "flip,rotate")
