"""Which image comes into which split: by its name, to one image, and copies together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from pipeline.datasets.photographs.split import Item, counts_of, split_images

ALL = ("train", "test", "validation")


def items(count: int, label: int = 0, given: str = "") -> list[Item]:
    return [Item(f"class{label}/image_{number:04}.jpg", label, given) for number in range(count)]


def counts(splits: Sequence[str]) -> tuple[int, ...]:
    counted = Counter(splits)
    return tuple(counted[split] for split in ALL)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        *[(1, (1, 0, 0)), (2, (1, 1, 0)), (3, (1, 1, 1)), (4, (2, 1, 1)), (5, (3, 1, 1)), (7, (4, 2, 1))],
        *[(20, (12, 4, 4)), (21, (13, 4, 4)), (100, (60, 20, 20)), (101, (61, 20, 20)), (102, (61, 21, 20))],
    ],
)
def test_a_class_has_its_shares_to_one_image(images: int, expected: tuple[int, ...]) -> None:
    assert counts(split_images(items(images), [], 1)) == expected


def test_no_class_is_further_from_its_shares_than_one_image() -> None:
    for images in range(5, 400):
        chosen = counts_of(images, ALL)
        assert sum(chosen.values()) == images
        assert max(abs(chosen[split] - images * part / 5) for split, part in zip(ALL, (3, 1, 1), strict=True)) < 1
        assert min(chosen.values()) >= 1


@pytest.mark.parametrize("seed", range(20))
def test_one_image_more_than_twenty_moves_one_at_most(seed: int) -> None:
    before = split_images(items(20), [], seed)
    for added in range(40):
        after = split_images([*items(20), Item(f"class0/new_{added}.jpg", 0)], [], seed)
        assert sum(old != new for old, new in zip(before, after, strict=False)) <= 1


def test_an_added_image_moves_two_at_most_whatever_the_number() -> None:
    for images in range(3, 60):
        before = split_images(items(images), [], 1)
        for added in range(10):
            after = split_images([*items(images), Item(f"class0/new_{added}.jpg", 0)], [], 1)
            assert sum(old != new for old, new in zip(before, after, strict=False)) <= 2


def test_the_split_of_names_is_the_same_for_ever() -> None:
    # Written down: a change moves images that were trained on into the test.
    names = split_images([Item(f"coast/image_{n:04}.jpg", 0) for n in range(10)], [], 0)
    assert [n for n, split in enumerate(names) if split == "test"] == [3, 8]
    assert [n for n, split in enumerate(names) if split == "validation"] == [1, 7]
    assert split_images(items(10), [], 0) != split_images(items(10), [], 1)


def test_other_classes_move_nothing() -> None:
    assert split_images([*items(20), *items(33, 1)], [], 1)[:20] == split_images(items(20), [], 1)


@pytest.mark.parametrize("sizes", [[2] * 10, [3, 2, 1, 1, 5, 4, 4], [10, 1, 1], [2, 1], [1, 2], [3], [6, 6, 6, 2]])
def test_copies_stay_together_and_every_split_has_some_where_it_can(sizes: list[int]) -> None:
    everything = items(sum(sizes))
    groups, start = [], 0
    for size in sizes:
        groups.append(list(range(start, start + size)))
        start += size
    for seed in range(30):
        chosen = split_images(everything, [group for group in groups if len(group) > 1], seed)
        assert all(len({chosen[index] for index in group}) == 1 for group in groups)
        assert set(ALL[: len(sizes)]) <= set(chosen)


def test_pairs_leave_a_class_its_shares_to_one_image() -> None:
    for seed in range(20):
        chosen = split_images(items(40), [[2 * n, 2 * n + 1] for n in range(20)], seed)
        assert all(abs(a - b) <= 1 for a, b in zip(counts(chosen), (24, 8, 8), strict=True))


def test_copies_in_two_classes_stay_together_and_the_rest_has_its_shares() -> None:
    everything = [*items(20), *items(20, 1)]
    for seed in range(20):
        chosen = split_images(everything, [[0, 20], [1, 21]], seed)
        assert chosen[0] == chosen[20]
        assert chosen[1] == chosen[21]
        assert counts(chosen[:20]) == counts(chosen[20:]) == (12, 4, 4)


def test_no_class_loses_its_only_training_image_to_a_copy() -> None:
    # Each of two classes has the same two pictures, and nothing else.
    for seed in range(20):
        chosen = split_images([*items(2), *items(2, 1)], [[0, 2], [1, 3]], seed)
        assert "train" in chosen[:2]
        assert "train" in chosen[2:]


def test_what_is_missing_of_given_splits_comes_out_of_train() -> None:
    given = [*items(40, 0, "train"), *(Item(f"class0/v{n}.jpg", 0, "validation") for n in range(7))]
    chosen = split_images(given, [], 1)
    assert counts(chosen) == (30, 10, 7)
    assert chosen[40:] == ["validation"] * 7
    assert counts(split_images(items(20, 0, "train"), [], 1)) == (12, 4, 4)


def test_given_splits_that_are_all_there_stay() -> None:
    given = [Item(f"a/{n}", 0, ALL[n % 3]) for n in range(30)]
    assert split_images(given, [], 1) == [item.given for item in given]


def test_a_copy_of_a_given_test_image_leaves_train() -> None:
    given = [Item(f"a/{n}", 0, ALL[n % 3]) for n in range(30)]
    # 0 is given to train, 1 to test, 2 to validation.
    assert {split_images(given, [[0, 1]], 1)[n] for n in (0, 1)} == {"test"}
    assert {split_images(given, [[0, 2]], 1)[n] for n in (0, 2)} == {"validation"}
    assert {split_images(given, [[0, 1, 2]], 1)[n] for n in (0, 1, 2)} == {"test"}
    only = [Item("a/0", 0, "train"), Item("a/1", 0, "test"), Item("a/2", 0, "validation")]
    assert split_images(only, [[0, 1]], 1) == ["train", "train", "validation"]
