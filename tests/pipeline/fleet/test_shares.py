"""Who has which image: each image once, in the proportions that were asked for, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import DatasetError
from pipeline.fleet.options.parting import Parting, parse_parting
from pipeline.fleet.shares import TEST, TRAIN, Whole, owners_of

CLASSES = tuple("0123456789")
HOWS = ("iid", "dirichlet:0.5", "dirichlet:100", "classes:2", "classes:10")


def labels_of(*counts: int) -> Whole:
    """Labels in an order of their own."""
    return np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))


LABELS = {TRAIN: labels_of(*range(400, 500, 10)), TEST: labels_of(*range(40, 50)), "validation": labels_of(*[7] * 10)}


def table(
    owners: Whole, labels: Whole, parts: int, classes: int = 10
) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Images by part and class."""
    return np.bincount(owners * classes + labels, minlength=parts * classes).reshape(parts, classes)


def owned(
    how: str, parts: int = 8, seed: int = 1, least: int = 1, labels: dict[str, Whole] = LABELS
) -> dict[str, Whole]:
    return owners_of(labels, CLASSES[: int(labels[TRAIN].max()) + 1], parts, parse_parting(how), seed, least)


@pytest.mark.parametrize("how", HOWS)
def test_every_image_is_in_one_of_the_parts_and_each_part_has_some(how: str) -> None:
    for split, owners in owned(how).items():
        assert len(owners) == len(LABELS[split])
        assert set(owners.tolist()) == set(range(8))


@pytest.mark.parametrize("how", HOWS)
def test_a_seed_gives_the_same_parts_and_another_seed_others(how: str) -> None:
    first, again, other = owned(how), owned(how), owned(how, seed=2)
    for split, owners in first.items():
        assert np.array_equal(owners, again[split])
        assert not np.array_equal(owners, other[split])


def test_at_random_the_parts_differ_by_at_most_one_image_and_have_about_as_many_of_each_class() -> None:
    owners = owned("iid", parts=7)[TRAIN]
    sizes = np.bincount(owners)
    assert sizes.max() - sizes.min() <= 1
    expected = np.bincount(LABELS[TRAIN]) / 7
    # Beyond that would be more than five standard deviations.
    assert np.abs(table(owners, LABELS[TRAIN], 7) - expected).max() < 5 * np.sqrt(expected.max())


def test_a_small_concentration_parts_classes_unevenly_and_a_large_one_evenly() -> None:
    uneven, even = (table(owned(how)[TRAIN], LABELS[TRAIN], 8) for how in ("dirichlet:0.1", "dirichlet:10000"))
    assert uneven.max() > 300 and np.median(uneven) < 20
    assert even.min() > 40 and even.max() < 70


def test_shares_have_the_variance_of_the_distribution() -> None:
    shares = np.stack(
        [table(owned("dirichlet:0.5", seed=seed)[TRAIN], LABELS[TRAIN], 8) for seed in range(200)]
    ) / np.bincount(LABELS[TRAIN])
    # Of Dir(a, …) over n: (1/n)(1 - 1/n) / (n·a + 1).
    assert shares.var() == pytest.approx(1 / 8 * 7 / 8 / 5, rel=0.1)


def test_shares_are_drawn_until_every_part_has_enough() -> None:
    assert min(np.bincount(owned("dirichlet:0.1", seed=seed)[TRAIN]).min() for seed in range(20)) < 100
    assert min(np.bincount(owned("dirichlet:0.1", seed=seed, least=100)[TRAIN]).min() for seed in range(20)) >= 100


@pytest.mark.parametrize(("parts", "each"), [(5, 2), (8, 2), (10, 1), (16, 3), (3, 9), (2, 10)])
def test_each_device_has_so_many_classes_and_each_class_a_device(parts: int, each: int) -> None:
    for seed in range(10):
        owners = owned(f"classes:{each}", parts=parts, seed=seed)
        found = table(owners[TRAIN], LABELS[TRAIN], parts)
        assert set((found > 0).sum(axis=1)) == {each}
        holders = (found > 0).sum(axis=0)
        assert holders.min() >= 1 and holders.max() - holders.min() <= 1
        # Equal shares of a class.
        assert all(np.ptp(of_class[of_class > 0]) <= 1 for of_class in found.T)
        # A device is tested on what it trains on.
        assert not (table(owners[TEST], LABELS[TEST], parts)[found == 0]).any()


@pytest.mark.parametrize("how", HOWS)
def test_test_images_are_parted_as_the_training_images_of_their_class(how: str) -> None:
    owners = owned(how, parts=5)
    train, test = (table(owners[split], LABELS[split], 5) for split in (TRAIN, TEST))
    exact = test.sum(axis=0) * train / train.sum(axis=0)
    assert np.abs(test - exact).max() < 1


def test_whoever_would_have_no_test_image_gets_one_of_his_classes() -> None:
    labels = {TRAIN: labels_of(100, 100, 100), TEST: labels_of(2, 1, 2)}
    for seed in range(20):
        owners = owned("dirichlet:0.2", parts=5, seed=seed, labels=labels)
        train, test = (table(owners[split], labels[split], 5, 3) for split in (TRAIN, TEST))
        assert test.sum(axis=1).tolist() == [1] * 5
        assert test.sum(axis=0).tolist() == [2, 1, 2]
        # There is a way to give each one that it knows in most draws; it is found for four of five at least.
        assert ((test > 0) & (train > 0)).any(axis=1).sum() >= 4


def test_single_test_images_do_not_all_go_to_the_first_device() -> None:
    labels = {TRAIN: labels_of(*[40] * 10), TEST: labels_of(*[1] * 10)}
    owners = owned("classes:10", parts=5, labels=labels)
    assert np.bincount(owners[TEST]).tolist() == [2] * 5


def test_a_split_beside_them_may_have_fewer_images_than_parts() -> None:
    labels = {**LABELS, "validation": labels_of(1, 1, 1, 0, 0, 0, 0, 0, 0, 0)}
    assert len(set(owned("iid", labels=labels)["validation"].tolist())) == 3


@pytest.mark.parametrize(
    ("how", "parts", "least", "message"),
    [
        ("iid", 8, 1000, "4,450 training samples are too few for 8 devices with 1000 each: .* or a smaller --batch"),
        (
            *("iid", 446, 1),
            "445 test samples are too few for 446 devices with 1 each: give more samples, or fewer devices$",
        ),
        ("dirichlet:0.001", 12, 32, "--partition dirichlet:0.001: of 1,000 draws none gives each of 12 devices 32 "),
        ("classes:11", 8, 1, "--partition classes:11: there are 10 classes: give classes:10 or fewer"),
        ("classes:2", 4, 1, "leave some of the 10 classes to nobody: give classes:3, or 5 devices"),
        ("classes:2", 8, 500, "--partition classes:2: one of 8 devices would have .* less than 500: give more classes"),
    ],
)
def test_what_cannot_be_parted_is_refused_in_one_line(how: str, parts: int, least: int, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as error:
        owned(how, parts=parts, least=least)
    assert "\n" not in str(error.value)


def test_a_class_with_fewer_images_than_devices_that_are_to_have_it_is_named() -> None:
    labels = {TRAIN: labels_of(100, 3), TEST: labels_of(10, 10)}
    with pytest.raises(DatasetError, match="of 1 there are fewer training samples than devices"):
        owned("classes:2", parts=4, labels=labels)


@pytest.mark.parametrize("concentration", [1e-300, 1e-12, 1e12, 1e300])
def test_no_concentration_gives_anything_but_parts_or_an_error(concentration: float) -> None:
    try:
        owners = owners_of(LABELS, CLASSES, 3, Parting("dirichlet", concentration), 1, 1)
    except DatasetError:
        return
    assert np.bincount(owners[TRAIN]).sum() == len(LABELS[TRAIN])
