"""Brings a package to a device: only what changed, as one tar stream, checked by the device's own digests.

The stream travels compressed where the device can unpack it.

New files go into a staging folder and are checked there; only then do they take their places. The device's manifest is
removed before that and written last, so that it never claims what is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from device_runtime.formats.errors import FormatError
from device_runtime.formats.manifest import (
    COMPILED,
    FILE_NAME,
    RUN_FOLDERS,
    File,
    Manifest,
    parse_manifest,
    read_manifest,
)
from pipeline.errors import TargetError
from pipeline.progress import OnProgress
from pipeline.targets.adb.adb import MOST_ANSWERED, Adb, ConnectionLost, quote
from pipeline.targets.adb.archive import COMPLETE, gzipped, tar_bytes, tar_stream
from pipeline.targets.adb.parse import failed_digests, free_bytes
from pipeline.targets.adb.places import PRIVATE, advice, send
from pipeline.targets.adb.shell import Stdin

# Room for checkpoints and metrics of a run.
SPARE_BYTES = 16 * 2**20
DIGESTS_TIMEOUT_S = 600.0
UNPACK_TIMEOUT_S = 300.0
# Longest time in which a device takes no byte of what is sent to it: slow storage stalls, a lost device is gone.
STALL_S = 60.0
RETURN_S = 10.0
WORDS_A_LINE = 100
# That of half a million files.
MOST_OF_MANIFEST = 2**27


@dataclass(frozen=True)
class Difference:
    """What has to travel and what has to go."""

    changed: tuple[File, ...]
    gone: tuple[str, ...]


def compare(package: Manifest, device: Manifest | None) -> Difference:
    """Files of the package whose digest differs from the device's, and files the device has beside them."""
    there = {file.path: (file.sha256, file.executable) for file in device.files} if device else {}
    changed = tuple(file for file in package.files if there.get(file.path) != (file.sha256, file.executable))
    return Difference(changed, tuple(sorted(set(there) - {file.path for file in package.files})))


def moves(package: Manifest, changed: Sequence[File]) -> tuple[str, ...]:
    """What to move so that `changed` get there: whole folders where nothing of the package stays, else files.

    Every move is a process on the device, and a package has hundreds of files.
    """
    changed_paths = {file.path for file in changed}
    return _tops(changed_paths, {file.path for file in package.files} - changed_paths)


def push(adb: Adb, package: Path, root: PurePosixPath, on_bytes: OnProgress) -> int:
    """Makes the folder `root` on the device equal to `package`; returns the bytes sent, digests and manifest included.

    Args:
      adb: the device.
      package: a folder with its manifest.
      root: takes its content.
      on_bytes: takes progress in bytes of the package, however few of them travel.

    Raises:
      TargetError: no space, the device went away, or files arrived other than they were sent. What this call sent is
        removed again, and the package that was there before stays, or at least what runs wrote into it.
    """
    before = adb.sent_bytes
    manifest = read_manifest(package / FILE_NAME)
    there = _device_manifest(adb, root)
    difference = compare(manifest, there)
    changed = {file.path for file in difference.changed}
    damaged = _failed(adb, root, [file for file in manifest.files if file.path not in changed])
    # Somebody else wrote there: these files travel too.
    difference = Difference(
        tuple(file for file in manifest.files if file.path in changed.union(damaged)), difference.gone
    )
    if difference.changed or difference.gone:
        _send(adb, package, root, manifest, difference, on_bytes)
    elif there != manifest:
        send(adb, package / FILE_NAME, root / FILE_NAME)
    return adb.sent_bytes - before


def _device_manifest(adb: Adb, root: PurePosixPath) -> Manifest | None:
    result = adb.execute(f"cat {quote(root / FILE_NAME)}", most_bytes=MOST_OF_MANIFEST)
    if result.code != 0:
        return None
    try:
        return parse_manifest(result.text)
    except FormatError:
        return None


def _send(
    adb: Adb, package: Path, root: PurePosixPath, manifest: Manifest, difference: Difference, on_bytes: OnProgress
) -> None:
    staging = root.with_name(f"{root.name}.new")
    try:
        # An earlier push that was cut off may have left its staging folder: that is no space in use.
        adb.check(f"rm -rf {quote(staging)}", timeout_s=UNPACK_TIMEOUT_S)
        _check_space(adb, root, sum(file.size_bytes for file in difference.changed))
        adb.check(f"{PRIVATE} && mkdir -p {quote(staging)} && chmod 700 {quote(root.parent)}")
        _stream(adb, package, staging, difference.changed, on_bytes)
        _check_staged(adb, staging, difference.changed)
        _take_places(adb, root, staging, manifest, difference)
        send(adb, package / FILE_NAME, root / FILE_NAME)
    except BaseException as error:
        _remove(adb, staging, root, lost=isinstance(error, ConnectionLost))
        raise


def _check_space(adb: Adb, root: PurePosixPath, size_bytes: int) -> None:
    free = free_bytes(adb.check(f"df -k {quote(root.parent.parent)}"))
    needed = size_bytes + SPARE_BYTES
    if free < needed:
        raise TargetError(
            f"{adb.serial} has no space in {root.parent.parent}: {needed / 2**20:.0f} MiB are needed, "
            f"{free / 2**20:.0f} MiB are free: delete something there"
        )


def _stream(adb: Adb, package: Path, staging: PurePosixPath, files: Sequence[File], on_bytes: OnProgress) -> None:
    total = tar_bytes(files)

    def chunks() -> Iterator[bytes]:
        sent = 0
        for chunk in tar_stream(package, files):
            yield chunk
            sent += len(chunk)
            on_bytes(sent, total)

    source, stdin = _compressed(adb, Stdin(chunks(), total))
    # The device itself removes what came when the connection breaks, as the host cannot. Without -o the tar of Android
    # 10 and older gives each file to the archive's owner, and fails, as a shell may not.
    unpack = f"cd {quote(staging)} && trap : HUP; {PRIVATE}; {source}tar -xf - -o; code=$?; "
    clean = f"[ -f {COMPLETE} ] || {{ cd / && rm -rf {quote(staging)}; exit $((code ? code : 1)); }}; exit $code"
    result = adb.execute(unpack + clean, stdin=stdin, timeout_s=STALL_S, live=True)
    if result.code != 0:
        raise TargetError(f"{adb.serial} could not unpack the package: {result.complaint}; {advice(result.complaint)}")


def _compressed(adb: Adb, plain: Stdin) -> tuple[str, Stdin]:
    """What stands before the device's `tar`, and what is sent, compressed where the device can unpack it.

    Before shell protocol v2 the size of what a command reads has to be known beforehand.
    """
    if adb.has_v2 and adb.execute("command -v zcat").code == 0:
        return "zcat | ", Stdin(gzipped(plain.chunks))
    return "", plain


def _check_staged(adb: Adb, staging: PurePosixPath, files: Sequence[File]) -> None:
    damaged = _failed(adb, staging, files)
    if damaged:
        raise TargetError(f"{adb.serial}: {', '.join(damaged[:5])} arrived damaged: push again")


def _take_places(
    adb: Adb, root: PurePosixPath, staging: PurePosixPath, manifest: Manifest, difference: Difference
) -> None:
    moved = moves(manifest, difference.changed)
    gone = _tops(set(difference.gone), {file.path for file in manifest.files})
    parents = sorted({str(PurePosixPath(path).parent) for path in moved} - {"."})
    _run_script(
        adb,
        [
            f"{PRIVATE}; mkdir -p {quote(root)} && cd {quote(root)} || exit 1",
            f"rm -f {FILE_NAME} || exit 1",
            # Files come without times, by which the interpreter would know that they are others.
            f"rm -rf {COMPILED} || exit 1",
            *_lines("rm -rf", sorted({*moved, *gone})),
            *_lines("mkdir -p", parents),
            *(f"mv -f {quote(staging / path)} {quote(path)} || exit 1" for path in moved),
            f"rm -rf {quote(staging)}",
        ],
    )


def _tops(paths: set[str], others: set[str]) -> tuple[str, ...]:
    """`paths`, or instead of some the topmost folder above them that none of `others` is in."""
    shared = {str(parent) for path in others for parent in PurePosixPath(path).parents} | {"."}
    tops: set[str] = set()
    for path in paths:
        folders = [str(parent) for parent in reversed(PurePosixPath(path).parents)]
        tops.add(next((folder for folder in folders if folder not in shared), path))
    return tuple(sorted(tops))


def _lines(command: str, words: Sequence[str]) -> list[str]:
    parts = (words[start : start + WORDS_A_LINE] for start in range(0, len(words), WORDS_A_LINE))
    return [f"{command} -- {' '.join(map(quote, part))} || exit 1" for part in parts]


def _failed(adb: Adb, folder: PurePosixPath, files: Sequence[File]) -> list[str]:
    """Paths whose digest on the device is not the manifest's, and paths that are not there."""
    if not files:
        return []
    # Up to Android 9 the list is the argument of -c, later a file to read: `-` is both.
    lines = "".join(f"{file.sha256}  {file.path}\n" for file in files).encode()
    result = adb.execute(
        f"cd {quote(folder)} && sha256sum -c - 2>&1",
        stdin=Stdin([lines], len(lines)),
        timeout_s=DIGESTS_TIMEOUT_S,
        # A complaint and a result for each.
        most_bytes=MOST_ANSWERED + 4 * len(lines),
    )
    failed = failed_digests(result.text)
    if result.code != 0 and not failed:
        raise TargetError(f"{adb.serial}: sha256sum failed in {folder}: {result.complaint}")
    return failed


def _run_script(adb: Adb, lines: Sequence[str]) -> None:
    script = "\n".join(lines).encode() + b"\n"
    result = adb.execute("sh", stdin=Stdin([script], len(script)), timeout_s=UNPACK_TIMEOUT_S)
    if result.code != 0:
        raise TargetError(f"{adb.serial}: the package could not be put in place: {result.complaint}; push again")


def _remove(adb: Adb, staging: PurePosixPath, root: PurePosixPath, *, lost: bool) -> None:
    """Removes what a failed push left, as far as the device still answers.

    A package without a manifest goes too, but not what runs wrote into it: there may be no other copy.
    """
    with suppress(TargetError):
        if lost:
            adb.reconnect(RETURN_S)
        kept = " ".join(f"! -name {quote(name)}" for name in RUN_FOLDERS)
        adb.execute(
            f"rm -rf {quote(staging)}; [ -f {quote(root / FILE_NAME)} ] || "
            f"find {quote(root)} -mindepth 1 -maxdepth 1 {kept} -exec rm -rf {{}} +; "
            f"rmdir {quote(root)} {quote(root.parent)} 2>/dev/null",
            timeout_s=UNPACK_TIMEOUT_S,
        )
