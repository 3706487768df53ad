"""What a large model takes of this machine's memory while it is packaged."""

from __future__ import annotations

import ctypes
from contextlib import suppress

# glibc's number of the option.
_M_MMAP_THRESHOLD = -3
LARGE_BYTES = 256 * 2**10


def return_what_is_freed() -> None:
    """From now on what is freed of large tensors is the system's again at once, where the C library is glibc.

    It would learn from the first large tensor that is freed to keep those that follow, and a process that exports,
    lowers and checks would be as large as the three together.
    """
    # Another C library has other ways, or none.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
