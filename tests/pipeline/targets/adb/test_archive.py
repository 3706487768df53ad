"""The tar stream is one that `tar` unpacks to the same files, and its size is known beforehand."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from device_runtime.formats.manifest import read_manifest
from pipeline.errors import TargetError
from pipeline.targets.adb.archive import COMPLETE, gzipped, tar_bytes, tar_stream
from pipeline.targets.adb.shell import CHUNK
from tests.pipeline.targets.stand_in import content_of, make_package

FILES: dict[str, str | bytes] = {
    "train.sh": "echo\n",
    "empty": "",
    "block": bytes(512),
    "large": bytes(range(256)) * 1000,
    f"{'long/' * 40}name": "a path longer than tar's own field",
    "living room/ä.bmp": "blank and umlaut",
}


def test_it_unpacks_to_the_same_files_and_modes(tmp_path: Path) -> None:
    package = make_package(tmp_path / "package", FILES)
    files = read_manifest(package / "manifest.json").files
    chunks = list(tar_stream(package, files))
    assert max(map(len, chunks)) <= CHUNK
    assert sum(map(len, chunks)) == tar_bytes(files)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    unpacked = content_of(tmp_path / "unpacked")
    assert unpacked.pop(COMPLETE) == b""
    assert unpacked == {path: content for path, content in content_of(package).items() if path != "manifest.json"}
    assert (tmp_path / "unpacked" / "train.sh").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "unpacked" / "empty").stat().st_mode & 0o777 == 0o600


def test_an_empty_one_holds_the_last_member_alone() -> None:
    stream = b"".join(tar_stream(Path("nowhere"), ()))
    assert len(stream) == tar_bytes(())
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        assert archive.getnames() == [COMPLETE]


@pytest.mark.parametrize("content", [b"shorter", b"longer than it was", b""])
def test_a_file_that_has_changed_since_it_was_packaged_is_named(tmp_path: Path, content: bytes) -> None:
    package = make_package(tmp_path, {"model/model.json": "as it was"})
    files = read_manifest(package / "manifest.json").files
    (package / "model" / "model.json").write_bytes(content)
    with pytest.raises(TargetError, match=r"model/model\.json has changed since it was packaged"):
        list(tar_stream(package, files))


def test_a_compressed_stream_is_gzips_and_has_no_empty_piece() -> None:
    chunks = [b"a" * CHUNK, b"", b"b", bytes(range(256)) * 4]
    pieces = list(gzipped(chunks))
    assert all(pieces)
    assert sum(map(len, pieces)) < CHUNK / 20
    assert gzip.decompress(b"".join(pieces)) == b"".join(chunks)
    assert gzip.decompress(b"".join(gzipped([]))) == b""
