"""Brings a package to a device: only what changed, as one tar stream, checked by the device's own digests.

New files go into a staging folder and are checked there; only then do they take their places. The device's manifest is
removed before that and written last, so that it never claims what is not there.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from device_runtime.formats.errors import FormatError
from device_runtime.formats.manifest import FILE_NAME, File, Manifest, parse_manifest, read_manifest
from pipeline.errors import TargetError
from pipeline.targets.adb import CHUNK, Adb, quote
from pipeline.targets.adb_parse import failed_digests, free_bytes
from pipeline.targets.base import OnBytes

# Room for checkpoints and metrics of a run.
SPARE_BYTES = 16 * 2**20
DIGESTS_TIMEOUT_S = 600.0
UNPACK_TIMEOUT_S = 300.0


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


def push(adb: Adb, package: Path, root: PurePosixPath, on_bytes: OnBytes) -> int:
    """Makes the folder `root` on the device equal to `package`; returns the bytes sent, digests and manifest included.

    Raises:
      TargetError: no space, the device went away, or files arrived other than they were sent. What this call sent is
        removed again, and the package that was there before stays.
    """
    before = adb.sent_bytes
    manifest = read_manifest(package / FILE_NAME)
    difference = compare(manifest, _device_manifest(adb, root))
    _send(adb, package, root, difference, on_bytes)
    damaged = _check(adb, package, root, manifest)
    if damaged:
        # Somebody else wrote there: these files travel once more.
        again = Difference(tuple(file for file in manifest.files if file.path in damaged), ())
        _send(adb, package, root, again, on_bytes)
        damaged = _check(adb, package, root, manifest)
    if damaged:
        raise TargetError(
            f"{adb.serial}: {', '.join(sorted(damaged)[:5])} in {root} differ from what was sent: push again"
        )
    return adb.sent_bytes - before


def _device_manifest(adb: Adb, root: PurePosixPath) -> Manifest | None:
    result = adb.execute(f"cat {quote(root / FILE_NAME)}")
    if result.code != 0:
        return None
    try:
        return parse_manifest(result.text)
    except FormatError:
        return None


def _send(adb: Adb, package: Path, root: PurePosixPath, difference: Difference, on_bytes: OnBytes) -> None:
    if not difference.changed and not difference.gone:
        return
    total = sum(file.size_bytes for file in difference.changed)
    _check_space(adb, root, total)
    staging = root.with_name(f"{root.name}.new")
    try:
        adb.check(f"rm -rf {quote(staging)} && mkdir -p {quote(staging)}")
        _stream(adb, package, staging, difference.changed, total, on_bytes)
        _check_staged(adb, staging, difference.changed)
        _take_places(adb, root, staging, difference)
    except TargetError:
        _remove(adb, staging, root)
        raise


def _check_space(adb: Adb, root: PurePosixPath, size_bytes: int) -> None:
    free = free_bytes(adb.check(f"df -k {quote(root.parent.parent)}"))
    needed = size_bytes + SPARE_BYTES
    if free < needed:
        raise TargetError(
            f"{adb.serial} has no space in {root.parent.parent}: {needed / 2**20:.0f} MiB are needed, "
            f"{free / 2**20:.0f} MiB are free: delete something there"
        )


def _stream(
    adb: Adb, package: Path, staging: PurePosixPath, files: Sequence[File], total: int, on_bytes: OnBytes
) -> None:
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        for chunk in tar_stream(package, files):
            yield chunk
            sent += len(chunk)
            on_bytes(min(sent, total), total)

    result = adb.execute(f"cd {quote(staging)} && tar -xf -", stdin=chunks(), timeout_s=UNPACK_TIMEOUT_S)
    if result.code != 0:
        said = (result.stderr + result.stdout).decode(errors="replace").strip()
        hint = "its disk is full: delete something there" if "space" in said.lower() else "push again"
        raise TargetError(f"{adb.serial} could not unpack the package: {said}; {hint}")


def tar_stream(package: Path, files: Sequence[File]) -> Iterator[bytes]:
    """The files as a tar archive, in pieces of at most `CHUNK` bytes, with modes 0644 and 0755 and no times."""
    for file in files:
        header = tarfile.TarInfo(file.path)
        header.size = file.size_bytes
        header.mode = 0o755 if file.executable else 0o644
        yield header.tobuf(tarfile.GNU_FORMAT)
        with (package / file.path).open("rb") as content:
            while chunk := content.read(CHUNK):
                yield chunk
        if padding := -file.size_bytes % tarfile.BLOCKSIZE:
            yield bytes(padding)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _check_staged(adb: Adb, staging: PurePosixPath, files: Sequence[File]) -> None:
    damaged = _failed(adb, staging, files)
    if damaged:
        raise TargetError(f"{adb.serial}: {', '.join(damaged[:5])} arrived damaged: push again")


def _take_places(adb: Adb, root: PurePosixPath, staging: PurePosixPath, difference: Difference) -> None:
    folders = sorted({str(PurePosixPath(file.path).parent) for file in difference.changed})
    script = [
        f"mkdir -p {quote(root)} && cd {quote(root)} || exit 1",
        f"rm -f {FILE_NAME}",
        *(f"rm -f {quote(path)}" for path in difference.gone),
        *(f"mkdir -p {quote(folder)} || exit 1" for folder in folders),
        *(f"mv -f {quote(staging / file.path)} {quote(file.path)} || exit 1" for file in difference.changed),
        f"rm -rf {quote(staging)}",
    ]
    _run_script(adb, script)


def _check(adb: Adb, package: Path, root: PurePosixPath, manifest: Manifest) -> set[str]:
    """Paths whose digest on the device is wrong; when there is none, the manifest is written there."""
    damaged = set(_failed(adb, root, manifest.files))
    if not damaged:
        text = (package / FILE_NAME).read_bytes()
        temporary = root / f"{FILE_NAME}.new"
        result = adb.execute(
            f"cat >{quote(temporary)} && mv -f {quote(temporary)} {quote(root / FILE_NAME)}", stdin=[text]
        )
        if result.code != 0:
            raise TargetError(f"{adb.serial}: {root / FILE_NAME} cannot be written: {result.stderr.decode()}")
    return damaged


def _failed(adb: Adb, folder: PurePosixPath, files: Sequence[File]) -> list[str]:
    lines = "".join(f"{file.sha256}  {file.path}\n" for file in files).encode()
    result = adb.execute(f"cd {quote(folder)} && sha256sum -c - 2>&1", stdin=[lines], timeout_s=DIGESTS_TIMEOUT_S)
    failed = failed_digests(result.text)
    if result.code != 0 and not failed:
        raise TargetError(f"{adb.serial}: sha256sum failed in {folder}: {result.text.strip()[-200:]}")
    return failed


def _run_script(adb: Adb, lines: Sequence[str]) -> None:
    result = adb.execute("sh", stdin=["\n".join(lines).encode() + b"\n"], timeout_s=UNPACK_TIMEOUT_S)
    if result.code != 0:
        raise TargetError(f"{adb.serial}: the package could not be put in place: {result.stderr.decode().strip()}")


def _remove(adb: Adb, staging: PurePosixPath, root: PurePosixPath) -> None:
    """Removes what a failed push left, as far as the device still answers; a package without manifest goes too."""
    try:
        adb.execute(
            f"rm -rf {quote(staging)}; [ -f {quote(root / FILE_NAME)} ] || rm -rf {quote(root)}; "
            f"rmdir {quote(root.parent)} 2>/dev/null"
        )
    except TargetError:
        return
