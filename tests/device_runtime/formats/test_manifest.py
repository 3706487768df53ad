"""manifest.json is read as it was written, and what does not fit it is named."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from device_runtime.formats.errors import FormatError
from device_runtime.formats.manifest import (
    FILE_NAME,
    File,
    Manifest,
    Version,
    check_files,
    describe,
    parse_manifest,
    read_manifest,
    write_manifest,
)

WITH_A_LIST = '{"format": 1, "target": "x86", "model": "lenet", "files": [], "versions": []}'


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with a script, a file in a folder and what a run leaves behind."""
    for name, text in {
        "train.sh": "run\n",
        "model/model.json": "{}",
        "output/metrics.jsonl": "{}",
        "cache/a": "b",
        "job/log": "c",
        FILE_NAME: "old",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "train.sh").chmod(0o755)
    (tmp_path / "model" / "model.json").chmod(0o644)
    return tmp_path


def manifest_of(package: Path) -> Manifest:
    return Manifest("arm64", "lenet", describe(package), {"numpy": Version("1.0", "ab"), "libc6": Version("1:2-3", "")})


def test_every_file_is_described_but_the_manifest_and_what_a_run_writes(package: Path) -> None:
    assert describe(package) == (
        File("model/model.json", 2, hashlib.sha256(b"{}").hexdigest(), False),
        File("train.sh", 4, hashlib.sha256(b"run\n").hexdigest(), True),
    )
    assert manifest_of(package).size_bytes == 6


def test_a_folder_deeper_down_may_be_named_like_one_of_a_run(package: Path) -> None:
    (package / "model" / "output").mkdir()
    (package / "model" / "output" / "x").touch()
    assert "model/output/x" in [file.path for file in describe(package)]


def test_a_manifest_is_read_as_it_was_written(package: Path) -> None:
    manifest = manifest_of(package)
    write_manifest(package, manifest)
    assert read_manifest(package / FILE_NAME) == manifest
    assert json.loads((package / FILE_NAME).read_text())["format"] == 1


def test_a_package_that_fits_its_manifest_passes_even_after_a_run(package: Path) -> None:
    manifest = manifest_of(package)
    (package / "output" / "log").write_text("more")
    check_files(package, manifest)


def test_missing_and_changed_files_are_all_named_at_once(package: Path) -> None:
    manifest = manifest_of(package)
    (package / "train.sh").unlink()
    (package / "model" / "model.json").write_text("{ }")
    with pytest.raises(FormatError, match=r"model/model\.json, train\.sh; package or push it again"):
        check_files(package, manifest)


def test_of_many_wrong_files_the_first_five_are_named(package: Path) -> None:
    files = tuple(File(f"f{number}", 1, "", False) for number in range(8))
    with pytest.raises(FormatError, match="f0, f1, f2, f3, f4 and 3 more"):
        check_files(package, Manifest("x86", "lenet", files, {}))


@pytest.mark.parametrize("name", ["cache/checked.json", "cache"])
def test_bits_that_flipped_are_found_whatever_was_noted_before(package: Path, name: str) -> None:
    manifest = manifest_of(package)
    check_files(package, manifest)
    file = package / manifest.files[0].path
    content, times = bytearray(file.read_bytes()), file.stat()
    content[-1] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(FormatError, match=f"does not match its manifest: {manifest.files[0].path};"):
        check_files(package, manifest)
    # What was noted is no condition: damaged, or not to be written, all is read again.
    shutil.rmtree(package / "cache")
    (package / name).parent.mkdir(exist_ok=True)
    (package / name).write_bytes(b"\xff[")
    with pytest.raises(FormatError, match="does not match its manifest"):
        check_files(package, manifest)


def test_what_did_not_change_is_not_read_again(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = manifest_of(package)
    check_files(package, manifest)
    monkeypatch.setattr(hashlib, "file_digest", lambda *arguments: pytest.fail("a file was read"))
    check_files(package, manifest)


def test_another_format_is_refused(package: Path) -> None:
    write_manifest(package, manifest_of(package))
    record = json.loads((package / FILE_NAME).read_text())
    with pytest.raises(FormatError, match="format 2, this program reads 1"):
        parse_manifest(json.dumps({**record, "format": 2}))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"format": 1}', '{"format": 1, "files": 3}', '"text"', WITH_A_LIST]
)
def test_a_damaged_manifest_is_one_error_that_says_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(FormatError, match=r"manifest\.json: .*package the model again"):
        read_manifest(tmp_path / FILE_NAME)


@pytest.mark.parametrize("file", [{"path": "a"}, {"path": "a", "size_bytes": 1, "sha256": "", "mode": 420}, 7])
def test_a_file_record_with_other_fields_is_refused(package: Path, file: object) -> None:
    write_manifest(package, manifest_of(package))
    record = json.loads((package / FILE_NAME).read_text())
    with pytest.raises(FormatError, match="not a package's manifest"):
        parse_manifest(json.dumps({**record, "files": [file]}))


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "../evil"},
        {"path": "/etc/passwd"},
        {"path": "a/../../b"},
        {"path": "a\nb"},
        {"path": "a\\b"},
        {"path": "output/lenet_trained_1.safetensors"},
        {"path": "train.sh"},
        {"size_bytes": -1},
        {"size_bytes": True},
        {"sha256": "00"},
        {"executable": 1},
    ],
    ids=str,
)
def test_a_file_that_cannot_be_one_of_a_package_is_refused(package: Path, changes: dict[str, object]) -> None:
    write_manifest(package, manifest_of(package))
    record = json.loads((package / FILE_NAME).read_text())
    files = [{**record["files"][0], **changes}, record["files"][1]]
    with pytest.raises(FormatError, match="not a package's manifest"):
        parse_manifest(json.dumps({**record, "files": files}))


@pytest.mark.parametrize("name", ["a\nb", "a\\b", b"caf\xe9"])
def test_a_name_that_cannot_travel_is_told_before_anything_does(package: Path, name: str | bytes) -> None:
    (package / os.fsdecode(name)).touch()
    with pytest.raises(FormatError, match=r"no path within the folder: give the file in .* a name of plain characters"):
        describe(package)


def test_bytes_that_are_no_text_are_a_damaged_manifest(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="package the model again"):
        read_manifest(tmp_path / FILE_NAME)


def test_a_missing_manifest_names_its_path(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=f"{tmp_path}/{FILE_NAME}: No such file"):
        read_manifest(tmp_path / FILE_NAME)
