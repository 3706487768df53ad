"""Training sounds are moved and mixed with noise, the same way whenever the same epoch is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from device_runtime.augmented_sound import LOUDEST, NOISY, AugmentedSound, moved, with_noise
from device_runtime.formats.array import ArrayFile
from device_runtime.formats.dataset import NOISE, SAMPLES, TARGETS, Description, load_dataset, write_description
from device_runtime.formats.errors import FormatError
from device_runtime.formats.option_values import augmentations
from device_runtime.formats.sample import Sample, one_class
from device_runtime.inputs import unfit_changes

LENGTH = 400
BOTH = ("shift", "noise")


class Sounds:
    """Sounds without a sample of 0."""

    def __init__(self, count: int) -> None:
        self.x = np.random.default_rng(0).integers(1, 2**14, (count, LENGTH), np.int16)
        self.labels = np.arange(count)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int64]]:
        return self.x[indices], self.labels[indices]


def noise_in(folder: Path) -> ArrayFile:
    """Writes three noises."""
    np.save(folder / NOISE, np.random.default_rng(1).integers(-(2**15), 2**15, (3, LENGTH), np.int16))
    return ArrayFile(folder / NOISE)


@pytest.fixture
def noise(tmp_path: Path) -> ArrayFile:
    return noise_in(tmp_path)


def augmented(
    sounds: Sounds, *kinds: str, noise: ArrayFile | None = None, seed: int = 1, epoch: int = 0
) -> npt.NDArray[np.int16]:
    x, labels = AugmentedSound(sounds, kinds, seed, epoch, noise).batch(np.arange(len(sounds)))
    np.testing.assert_array_equal(labels, sounds.labels)
    assert x.dtype == np.int16
    assert x.flags.c_contiguous
    return x


def test_a_shift_is_up_to_a_tenth_either_way_with_silence_where_nothing_is_left() -> None:
    sounds = Sounds(300)
    changes = [AugmentedSound(sounds, ["shift"], 1, 0).change(index, LENGTH) for index in range(300)]
    most = LENGTH // 10
    assert -most <= min(change.later for change in changes) < -most * 0.9
    assert most >= max(change.later for change in changes) > most * 0.9
    for before, after, change in zip(sounds.x, augmented(sounds, "shift"), changes, strict=True):
        padded = np.pad(before, most)
        np.testing.assert_array_equal(after, padded[most - change.later : most - change.later + LENGTH])


def test_noise_is_added_at_a_level_to_most_of_the_sounds(noise: ArrayFile) -> None:
    sounds = Sounds(300)
    of_epoch = AugmentedSound(sounds, ["noise"], 1, 0, noise)
    changes = [of_epoch.change(index, LENGTH) for index in range(300)]
    levels = np.array([change.level for change in changes])
    assert abs(np.count_nonzero(levels) / 300 - NOISY) < 0.1
    assert 0.9 * LOUDEST < levels.max() <= LOUDEST
    assert {change.noise for change in changes} == {0, 1, 2}
    noises = noise.rows(np.arange(3)).astype(np.float64)
    for before, after, change in zip(sounds.x, augmented(sounds, "noise", noise=noise), changes, strict=True):
        turned = np.concatenate([noises[change.noise][change.turn :], noises[change.noise][: change.turn]])
        np.testing.assert_allclose(after, before + change.level * turned, atol=0.51)
        assert change.later == 0


def test_what_is_too_loud_is_cut() -> None:
    loud = np.array([32000, -32000, 0], np.int16)
    np.testing.assert_array_equal(with_noise(loud, loud, 0.5), [32767, -32768, 0])


def test_a_sound_that_is_not_moved_is_as_it_was() -> None:
    sound = Sounds(1).x[0]
    np.testing.assert_array_equal(moved(sound, 0), sound)
    np.testing.assert_array_equal(moved(sound, LENGTH), 0)


def test_seed_epoch_and_sound_decide_and_the_batch_does_not(noise: ArrayFile) -> None:
    sounds = Sounds(40)
    every = augmented(sounds, *BOTH, noise=noise)
    np.testing.assert_array_equal(every, augmented(sounds, *BOTH, noise=noise))
    part = AugmentedSound(sounds, BOTH, 1, 0, noise).batch(np.array([7, 3]))[0]
    np.testing.assert_array_equal(every[[7, 3]], part)
    assert not np.array_equal(every, augmented(sounds, *BOTH, noise=noise, epoch=1))
    assert not np.array_equal(every, augmented(sounds, *BOTH, noise=noise, seed=2))


def test_the_sounds_themselves_stay_as_they_are(noise: ArrayFile) -> None:
    sounds = Sounds(10)
    before = sounds.x.copy()
    augmented(sounds, *BOTH, noise=noise)
    np.testing.assert_array_equal(sounds.x, before)


def test_noise_without_any_is_refused() -> None:
    with pytest.raises(FormatError, match="--augment noise: it has none, which a folder _background_noise_"):
        augmented(Sounds(2), "noise")


def dataset(folder: Path, x: npt.NDArray[np.generic], noise: npt.NDArray[np.generic] | None = None) -> Path:
    """A dataset of such samples, all of one split."""
    (folder / "train").mkdir(parents=True)
    np.save(folder / "train" / SAMPLES, x)
    np.save(folder / "train" / TARGETS, np.zeros(len(x), np.int64))
    if noise is not None:
        np.save(folder / NOISE, noise)
    sample = Sample(x.dtype.name, x.shape[1:])
    write_description(folder, Description("some", sample, one_class(2), ("a", "b"), {}, {"train": len(x)}))
    return folder


def test_changes_are_for_what_they_are_made_for(tmp_path: Path) -> None:
    sounds, numbers = np.zeros((3, 50), np.int16), np.zeros((3, 50), np.float32)
    of_sound = load_dataset(dataset(tmp_path / "sound", sounds))
    assert unfit_changes(("shift",), of_sound) == []
    assert "_background_noise_" in unfit_changes(BOTH, of_sound)[0]
    assert unfit_changes(BOTH, load_dataset(dataset(tmp_path / "noisy", sounds, sounds))) == []
    wrong = "--augment flip is not for samples of 50, int16, which shift and noise change"
    assert unfit_changes(("flip",), of_sound) == [wrong]
    of_numbers = load_dataset(dataset(tmp_path / "numbers", numbers))
    assert unfit_changes(("shift",), of_numbers) == [
        "--augment shift is not for samples of 50, float32, which stay as they are"
    ]


@pytest.mark.parametrize(
    "noise", [np.zeros((3, 40), np.int16), np.zeros((3, 50), np.float32), np.zeros((0, 50), np.int16)]
)
def test_noise_of_another_kind_is_refused(noise: npt.NDArray[np.generic], tmp_path: Path) -> None:
    folder = dataset(tmp_path / "data", np.zeros((3, 50), np.int16), noise)
    with pytest.raises(FormatError, match=r"noise\.npy holds .* not samples of 50, int16: convert the dataset again"):
        load_dataset(folder)


@pytest.mark.parametrize("text", ["flip,noise", "shift,loud", ""])
def test_words_that_belong_to_different_kinds_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="flip, crop, of sound shift, noise, both with a comma, or none"):
        augmentations(text)
