"""Which CPUs are used: those the process may use, without the small ones where the kernel says which these are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from device_runtime.cpus import keep_to, usable_cpus


@pytest.fixture
def allowed() -> Iterator[frozenset[int]]:
    """The CPUs that this process may use, and may use again afterwards."""
    before = frozenset(os.sched_getaffinity(0))
    yield before
    os.sched_setaffinity(0, before)


def tree(folder: Path, capacities: Mapping[int, str]) -> Path:
    """What the kernel says of CPUs."""
    for cpu, capacity in capacities.items():
        (folder / f"cpu{cpu}").mkdir()
        (folder / f"cpu{cpu}" / "cpu_capacity").write_text(capacity)
    return folder


def test_without_capacities_every_allowed_cpu_is_used(tmp_path: Path, allowed: frozenset[int]) -> None:
    assert usable_cpus(tmp_path) == allowed


def test_equal_cpus_are_all_used(tmp_path: Path, allowed: frozenset[int]) -> None:
    assert usable_cpus(tree(tmp_path, dict.fromkeys(allowed, "1024\n"))) == allowed


def test_a_small_cpu_beside_a_large_one_is_not_used(tmp_path: Path, allowed: frozenset[int]) -> None:
    if len(allowed) < 2:
        pytest.skip("there is one CPU")
    small = min(allowed)
    assert usable_cpus(tree(tmp_path, {cpu: "250\n" if cpu == small else "870\n" for cpu in allowed})) == allowed - {
        small
    }


def test_a_middle_cpu_is_used(tmp_path: Path, allowed: frozenset[int]) -> None:
    capacities = {cpu: "1024\n" if cpu == max(allowed) else "680\n" for cpu in allowed}
    assert usable_cpus(tree(tmp_path, capacities)) == allowed


def test_a_cpu_of_which_nothing_is_said_leaves_the_others_alone(tmp_path: Path, allowed: frozenset[int]) -> None:
    capacities = dict.fromkeys(allowed - {min(allowed)}, "1024\n")
    assert usable_cpus(tree(tmp_path, capacities)) == allowed
    (tmp_path / f"cpu{min(allowed)}").mkdir()
    (tmp_path / f"cpu{min(allowed)}" / "cpu_capacity").write_text("fast\n")
    assert usable_cpus(tmp_path) == allowed


def test_a_large_cpu_that_this_process_may_not_use_makes_no_other_small(
    tmp_path: Path, allowed: frozenset[int]
) -> None:
    one = min(allowed)
    os.sched_setaffinity(0, {one})
    capacities = {cpu: "250\n" if cpu == one else "1024\n" for cpu in allowed | {one + 1}}
    assert usable_cpus(tree(tmp_path, capacities)) == {one}


def test_a_process_is_kept_to_some_cpus(allowed: frozenset[int]) -> None:
    keep_to(frozenset({min(allowed)}))
    assert os.sched_getaffinity(0) == {min(allowed)}


def test_cpus_that_do_not_exist_are_no_error(allowed: frozenset[int]) -> None:
    keep_to(frozenset({100_000}))
    assert os.sched_getaffinity(0) == allowed
