"""Files of a folder of the device, whole and as it says they are."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from pipeline.errors import TargetError
from pipeline.files import new_file, sha256_of
from pipeline.targets.adb.adb import Adb
from pipeline.targets.adb.parse import OutputFile, parse_output_files
from pipeline.targets.adb.places import receive

SILENCE_S = 30.0
DIGESTS_TIMEOUT_S = 300.0
# The lines of a hundred thousand checkpoints.
MOST_LISTED = 2**24

# A running job's metrics still grow: their whole lines that are there now are listed, and later pulled. Up to Android 8
# no tool cuts off at a byte.
LIST_FILE = (
    '[ -f "$f" ] || continue; case $f in '
    '*.jsonl) l=$(wc -l <"$f") && n=$(head -n $((l)) "$f" | wc -c) && s=$(head -n $((l)) "$f" | sha256sum) ;; '
    '*) n=$(stat -c %s "$f") && s=$(sha256sum <"$f") ;; '
    'esac && echo "${s%% *} $((n)) $f" || exit 1'
)


def pull(adb: Adb, folder: PurePosixPath, into: Path, only: str) -> list[Path]:
    """Brings files here, each whole or not at all; returns their paths.

    Args:
      adb: the device.
      folder: where they are there; it may be missing.
      into: takes them.
      only: the name of one, or a pattern.

    Raises:
      TargetError: one arrived other than it was sent, cannot be read, or there is no room for it here.
      ConnectionLost: the device went away.
    """
    listed = f"cd {folder} 2>/dev/null || exit 0; for f in {only}; do {LIST_FILE}; done"
    listing = adb.repeated(lambda: adb.execute(listed, timeout_s=DIGESTS_TIMEOUT_S, most_bytes=MOST_LISTED))
    if listing.code != 0:
        raise TargetError(f"{adb.serial}: {folder} cannot be read: {listing.complaint}")
    files = parse_output_files(listing.text)
    _check_room(adb, folder, files, into)
    return [adb.repeated(partial(_pull_file, adb, folder, file, into)) for file in files]


def _check_room(adb: Adb, folder: PurePosixPath, files: Sequence[OutputFile], into: Path) -> None:
    """Refuses sizes that this machine's disk cannot take, before anything is written."""
    there = next(parent for parent in (into.absolute(), *into.absolute().parents) if parent.exists())
    size_bytes, free = sum(file.size_bytes for file in files), shutil.disk_usage(there).free
    if size_bytes > free:
        raise TargetError(
            f"{adb.serial}: its results are {size_bytes / 2**20:,.0f} MiB as it says, {there} has "
            f"{free / 2**20:,.0f} MiB: nothing was pulled; make room, or remove what it should not have from {folder}"
        )


def _pull_file(adb: Adb, folder: PurePosixPath, file: OutputFile, into: Path) -> Path:
    final = into / file.name
    with new_file(final) as temporary:
        with temporary.open("wb") as content:
            receive(adb, folder / file.name, file.size_bytes, content, SILENCE_S)
        if sha256_of(temporary) != file.sha256:
            raise TargetError(f"{adb.serial}: {file.name} arrived damaged: run `invoke pull` again")
    return final
