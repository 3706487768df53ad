"""Features are kept by image: what is new passes the backbone, what is damaged does so again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from device_runtime.features import CHUNK, CachedFeatures, FeatureCache, LiveFeatures

SHAPE = (3,)


class Pictures:
    """Images in memory."""

    def __init__(self, pixels: npt.NDArray[np.uint8]) -> None:
        self.pixels = pixels
        self.labels = np.arange(len(pixels))

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        return np.ascontiguousarray(self.pixels[indices]), self.labels[indices]


class Counting:
    """A backbone that counts the images that pass it: mean, minimum and maximum of the pixels."""

    def __init__(self, digest: str = "a" * 64) -> None:
        self.digest = digest
        self.passed = 0

    def features(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self.passed += len(pixels)
        flat = pixels.reshape(len(pixels), -1).astype(np.float32)
        return np.stack([flat.mean(1), flat.min(1), flat.max(1)], 1)


def pictures(count: int, seed: int = 0) -> Pictures:
    return Pictures(np.random.default_rng(seed).integers(0, 256, (count, 4, 5, 3), np.uint8))


def opened(images: Pictures, backbone: Counting, folder: Path) -> CachedFeatures:
    return CachedFeatures(images, FeatureCache(backbone, SHAPE, folder))


def passes(images: Pictures, folder: Path) -> int:
    """How many images pass the backbone when a cache is opened; its features are checked."""
    backbone = Counting()
    cached = opened(images, backbone, folder)
    passed, every = backbone.passed, np.arange(len(images))
    np.testing.assert_array_equal(cached.batch(every)[0], LiveFeatures(images, backbone).batch(every)[0])
    np.testing.assert_array_equal(cached.batch(every)[1], images.labels)
    return passed


def test_each_image_passes_the_backbone_once(tmp_path: Path) -> None:
    images = pictures(2 * CHUNK + 5)
    assert passes(images, tmp_path) == len(images)
    assert passes(images, tmp_path) == 0


def test_an_added_image_passes_alone(tmp_path: Path) -> None:
    images = pictures(40)
    passes(images, tmp_path)
    added = Pictures(np.insert(images.pixels, 7, pictures(1, seed=1).pixels[0], axis=0))
    assert passes(added, tmp_path) == 1
    assert passes(added, tmp_path) == 0


def test_images_in_another_order_or_split_pass_no_more(tmp_path: Path) -> None:
    images = pictures(40)
    passes(images, tmp_path)
    assert passes(Pictures(images.pixels[::-1]), tmp_path) == 0
    assert passes(Pictures(images.pixels[10:20]), tmp_path) == 0


def test_another_backbone_has_features_of_its_own(tmp_path: Path) -> None:
    images, other = pictures(4), Counting("b" * 64)
    passes(images, tmp_path)
    opened(images, other, tmp_path)
    assert other.passed == 4


@pytest.mark.parametrize("damage", ["a bit", "cut short", "empty", "text"])
def test_a_damaged_file_is_computed_again(damage: str, tmp_path: Path) -> None:
    images = pictures(CHUNK + 4)
    passes(images, tmp_path)
    file = min(tmp_path.rglob("*.rows"), key=lambda path: path.stat().st_size)
    content = file.read_bytes()
    flipped = content[:-2] + bytes([content[-2] ^ 1]) + content[-1:]
    file.write_bytes({"a bit": flipped, "cut short": content[:-3], "empty": b"", "text": b"hello"}[damage])
    assert passes(images, tmp_path) == 4
    assert passes(images, tmp_path) == 0


def test_a_run_that_is_killed_keeps_what_it_wrote(tmp_path: Path) -> None:
    class Killed(Counting):
        def features(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            if self.passed >= CHUNK:
                raise KeyboardInterrupt
            return super().features(pixels)

    images = pictures(CHUNK + 10)
    with pytest.raises(KeyboardInterrupt):
        opened(images, Killed(), tmp_path)
    assert passes(images, tmp_path) == 10
    assert not list(tmp_path.rglob(".*"))


def test_two_runs_at_once_find_each_others_features(tmp_path: Path) -> None:
    first, second = pictures(30), pictures(20, seed=1)
    caches = [FeatureCache(Counting(), SHAPE, tmp_path) for _ in range(2)]
    for cache, images in zip(caches, (first, second), strict=True):
        CachedFeatures(images, cache)
        CachedFeatures(pictures(5, seed=2), cache)
    assert passes(Pictures(np.concatenate([first.pixels, second.pixels])), tmp_path) == 0
    assert passes(pictures(5, seed=2), tmp_path) == 0
