"""`python -m tests.fuzz.campaign CASES SEED [READER...]`: gives readers damaged input; exit code 1 with what it found.

A process of its own, as its memory is limited and a decoder that dies takes it along.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.guard import Guard, limit_memory
from tests.fuzz.readers import Reader, readers

# Of one hypothesis run: it remembers every case of it.
BATCH = 1000

# Disks take longer to remove a folder than readers to read it.
SHARED_MEMORY = Path("/dev/shm")


def fuzz(reader: Reader, cases: int, start: int, guard: Guard) -> str:
    """Gives a reader that many cases; returns a line about them.

    Raises:
      BaseException: whatever the reader raised that it does not document, with the smallest case.
    """
    counts = Counter[str]()
    began = time.monotonic()
    guard.slowest_s = 0.0

    def one(case: Any) -> None:
        counts["cases"] += 1
        for name in os.listdir(guard.folder):  # noqa: PTH208 - faster
            path = guard.folder / name
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        try:
            with guard.watching():
                reader.read(guard.folder, case)
        except reader.refuses as error:
            counts["refused"] += 1
            assert "\n" not in str(error)

    number = start
    while counts["cases"] < cases:
        options = settings(
            max_examples=min(BATCH, cases - counts["cases"]),
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        seed(number)(options(given(reader.cases)(one)))()
        number += 1
    seconds = time.monotonic() - began
    read = counts["cases"] - counts["refused"]
    return (
        f"{reader.name}: {counts['cases']:,} cases, {read:,} read, {counts['refused']:,} refused, {seconds:.0f} s, "
        f"slowest {1000 * guard.slowest_s:.0f} ms"
    )


def main(words: Sequence[str]) -> int:
    """Fuzzes the readers that are named, or all, with about that many cases in all."""
    cases, start, names = int(words[0]), int(words[1]), words[2:]
    known = readers()
    chosen = [known[name] for name in names or known]
    shares = sum(reader.share for reader in chosen)
    found = False
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None) as around:
        guard = Guard(Path(around))
        limit_memory()
        for reader in chosen:
            try:
                print(fuzz(reader, -int(-cases * reader.share // shares), start, guard), flush=True)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt | SystemExit):
                    raise
                found = True
                print(f"{reader.name}: {type(error).__name__} (seed {start})", flush=True)
                traceback.print_exc()
    return int(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
