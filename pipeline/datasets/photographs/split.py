"""Which image is trained on, which is tested with.

In each class its shares to one image: its images in the order of a seeded hash of their names, laid out as test, train,
validation. An image more moves one at most (docs/decisions.md).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# What people call the splits, in lower case.
SPLITS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
}

# In fifths.
SHARES = {"train": 3, "test": 1, "validation": 1}

# Train in the middle takes what is pushed out at either end.
_ORDER = ("test", "train", "validation")


@dataclass(frozen=True)
class Item:
    """An image to be put into a split: its name for ever, its class, and its split where the folder says it."""

    key: str
    label: int
    given: str = ""


@dataclass(frozen=True)
class _Unit:
    """Images of one class that stay together: their indices, and the place of the first of their names."""

    members: tuple[int, ...]
    place: int


def counts_of(images: int, splits: Sequence[str]) -> dict[str, int]:
    """How many of a class's images come into each of some splits, by largest remainder.

    Train has the first image, test the second, validation the third; ties go in that order.
    """
    whole = sum(SHARES[split] for split in splits)
    counts = {split: images * SHARES[split] // whole for split in splits}
    for split in sorted(splits, key=lambda split: -(images * SHARES[split] % whole))[: images - sum(counts.values())]:
        counts[split] += 1
    for split in list(splits)[:images]:
        if not counts[split]:
            counts[split] += 1
            counts["train"] -= 1
    return counts


def split_images(items: Sequence[Item], together: Sequence[Sequence[int]], seed: int) -> list[str]:
    """The split of each image.

    Where the folder gives splits, those that it lacks come out of its training images. Images that belong together are
    in one split: in that of evaluation if one of them is given there, but no class loses its last training image by it.

    Args:
      items: the images.
      together: disjoint groups of their indices.
      seed: another seed is another split.
    """
    given = {item.given for item in items} - {""}
    open_splits = [split for split in SHARES if split == "train" or split not in given]
    chosen = ["" if item.given == "train" else item.given for item in items]
    # Images of each class that may still be trained on.
    spare = Counter(item.label for item, split in zip(items, chosen, strict=True) if not split)
    alone = set(range(len(items)))
    units: list[_Unit] = []
    for group in together:
        alone -= set(group)
        if any(chosen[index] for index in group) or len({items[index].label for index in group}) > 1:
            _decide_at_once(group, items, chosen, spare, open_splits, seed)
        else:
            units.append(_unit(group, items, seed))
    units += [_unit([index], items, seed) for index in sorted(alone) if not chosen[index]]
    there = Counter((item.label, split) for item, split in zip(items, chosen, strict=True))
    by_class: dict[int, list[_Unit]] = defaultdict(list)
    for unit in sorted(units, key=lambda unit: unit.place):
        by_class[items[unit.members[0]].label].append(unit)
    for label, of_class in by_class.items():
        _lay_out(of_class, {split: there[label, split] for split in open_splits}, chosen)
    return chosen


def _unit(group: Sequence[int], items: Sequence[Item], seed: int) -> _Unit:
    return _Unit(tuple(group), _place(min(items[index].key for index in group), seed))


def _place(key: str, seed: int) -> int:
    """A number below 2⁶⁴ for a name: other images do not change it."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{key}".encode(errors="surrogateescape"), digest_size=8).digest())


def _decide_at_once(
    group: Sequence[int],
    items: Sequence[Item],
    chosen: list[str],
    spare: Counter[int],
    open_splits: Sequence[str],
    seed: int,
) -> None:
    """Of a group that no class decides alone: the split of evaluation in which one is, or one drawn by its name."""
    own = Counter({items[index].label: 0 for index in group})
    own.update(items[index].label for index in group if not chosen[index])
    sides = {chosen[index] for index in group}
    if any(spare[label] <= count for label, count in own.items()):
        split = "train"
    elif sides != {""}:
        split = "test" if "test" in sides else "validation"
    else:
        ladder = [split for split in _ORDER if split in open_splits for _ in range(SHARES[split])]
        split = ladder[_unit(group, items, seed).place * len(ladder) >> 64]
    if split != "train":
        spare.subtract(own)
    for index in group:
        chosen[index] = split


def _lay_out(units: Sequence[_Unit], there: Mapping[str, int], chosen: list[str]) -> None:
    """Puts the units of a class, in their order, into splits; `there` counts those of its images that are in one."""
    images = sum(len(unit.members) for unit in units)
    counts = counts_of(images + sum(there.values()), list(there))
    room = {split: max(0, counts[split] - there[split]) for split in there}
    while sum(room.values()) > images:
        room[max(room, key=lambda split: room[split])] -= 1
    ladder = [split for split in _ORDER if split in room for _ in range(room[split])]
    taken: dict[str, list[_Unit]] = {split: [] for split in there}
    start = 0
    for unit in units:
        # The split in which the middle of a large one lies.
        taken[ladder[start + len(unit.members) // 2]].append(unit)
        start += len(unit.members)
    _fill_empty(taken, there)
    for split, of_split in taken.items():
        for index in (index for unit in of_split for index in unit.members):
            chosen[index] = split


def _fill_empty(taken: dict[str, list[_Unit]], there: Mapping[str, int]) -> None:
    """Large units may have left a split without any: it takes the smallest of one that has several, or comes after."""
    for place, (split, of_split) in enumerate(taken.items()):
        donors = [units for at, units in enumerate(taken.values()) if len(units) > (at < place)]
        if of_split or there[split] or not donors:
            continue
        donor = max(donors, key=lambda units: (len(units), sum(len(unit.members) for unit in units)))
        smallest = min(donor, key=lambda unit: len(unit.members))
        donor.remove(smallest)
        of_split.append(smallest)
