"""Which CPUs of this device a training should use."""

from __future__ import annotations

import os
from pathlib import Path

# What the kernel says of each CPU; absent where all are alike.
CPUS = Path("/sys/devices/system/cpu")


def usable_cpus(cpus: Path = CPUS) -> frozenset[int]:
    """The CPUs that this process may use, without the small ones where the kernel says which these are.

    A layer is as fast as the slowest thread that works on it, so a small CPU beside large ones holds them up.
    """
    allowed = frozenset(os.sched_getaffinity(0))
    capacities = {cpu: _capacity(cpus / f"cpu{cpu}" / "cpu_capacity") for cpu in allowed}
    known = [capacity for capacity in capacities.values() if capacity is not None]
    if len(known) < len(allowed):
        return allowed
    # Small ones have a quarter to less than half of the largest one's, middle ones more.
    return frozenset(cpu for cpu, capacity in capacities.items() if capacity and 2 * capacity >= max(known))


def keep_to(cpus: frozenset[int]) -> None:
    """Has this thread, and those that it starts from here on, run on these CPUs alone, as far as the device lets it."""
    try:
        os.sched_setaffinity(0, cpus)
    except OSError:
        # A CPU that went offline meanwhile, or a device that does not allow it: the scheduler decides.
        return


def _capacity(file: Path) -> int | None:
    """Relative speed, 1024 for the fastest CPU; None where the kernel does not tell."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
