"""Lets the kernel hand aarch64 programs to qemu, by an entry in binfmt_misc that is the emulated device's own."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.commands import run
from pipeline.errors import TargetError

FILESYSTEM = Path("/proc/sys/fs/binfmt_misc")
# The head of a 64-bit ELF file for machine 183; the mask lets it be a program or a shared object, of any ABI version.
MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"


def register(entry: str, qemu: Path, mounted: Path) -> None:
    """Adds `entry`: from now on `qemu` runs every aarch64 program of this machine, in a chroot too.

    Args:
      entry: its name.
      qemu: a statically linked user-mode emulator.
      mounted: a file that is made when binfmt_misc had to be mounted first.

    Raises:
      TargetError: the kernel has no binfmt_misc or takes no entry.
    """
    with _one_at_a_time(mounted):
        if not (FILESYSTEM / "register").exists():
            run(["mount", "-t", "binfmt_misc", "binfmt_misc", FILESYSTEM], timeout_s=10)
            mounted.touch()
        if (FILESYSTEM / entry).exists():
            (FILESYSTEM / entry).write_text("-1")
        try:
            # F opens qemu now, so that it need not be in the chroot; P hands it the program's own name for itself.
            (FILESYSTEM / "register").write_text(f":{entry}:M::{MAGIC}:{MASK}:{qemu}:FP")
        except OSError as error:
            raise TargetError(f"{FILESYSTEM}: cannot register qemu ({error.strerror}); is this a container?") from error


def remove(entry: str, mounted: Path) -> None:
    """Takes `entry` away, and binfmt_misc with the last entry if `register` had mounted it.

    The entries of others stay, and so do programs that already run.
    """
    with _one_at_a_time(mounted):
        if (FILESYSTEM / entry).exists():
            (FILESYSTEM / entry).write_text("-1")
        if mounted.exists() and {file.name for file in FILESYSTEM.iterdir()} == {"register", "status"}:
            run(["umount", FILESYSTEM], timeout_s=10)
            mounted.unlink()


@contextmanager
def _one_at_a_time(mounted: Path) -> Iterator[None]:
    # Of two devices that start at once, one would mount what the other just has; of one that ends, take it away.
    with mounted.with_name("binfmt_misc-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
