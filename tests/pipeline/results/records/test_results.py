"""A results folder as one record."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from device_runtime.formats.errors import FormatError
from device_runtime.formats.predictions import predictions_name
from pipeline.errors import UsageError
from pipeline.results.records.results import read_results, results_folder_of, results_folders
from tests.pipeline.results.made import PHONE, STEPS, guessed, metrics, write_metrics, write_results

LABELS = guessed([0, 1, 1], [0, 1, 0])


def test_a_whole_folder(tmp_path: Path) -> None:
    results = read_results(write_results(tmp_path / "run", ("a", "b"), LABELS))
    assert results.machine == PHONE
    assert results.target == "arm64"
    assert results.versions == {"numpy": "2.4.6"}
    assert len(results.data_digest) == 12
    assert results.predicted
    assert results.predicted.predictions.wrong().tolist() == [2]


def test_results_of_an_older_version_have_metrics_alone(tmp_path: Path) -> None:
    write_metrics(tmp_path, metrics())
    results = read_results(tmp_path)
    assert (results.machine, results.about, results.predicted, results.target) == (None, None, None, "")
    assert results.unpredicted.startswith(f"there is no {predictions_name(STEPS)}: ")


@pytest.mark.parametrize("how", ["cut", "of another training"])
def test_predictions_that_cannot_be_used_are_as_good_as_none(tmp_path: Path, how: str) -> None:
    folder = write_results(tmp_path / "run", ("a", "b"), LABELS)
    path = folder / predictions_name(STEPS)
    content = path.read_bytes()
    path.write_bytes(content[:-1] if how == "cut" else content.replace(b"0a1b2c", b"ffffff"))
    results = read_results(folder)
    assert results.predicted is None
    assert ("damaged" if how == "cut" else how) in results.unpredicted


def test_results_folders_are_found_newest_first_and_whole(tmp_path: Path) -> None:
    assert results_folders(tmp_path / "none") == []
    for name in ("20260101-000000-a-x86", "20260202-000000-b-arm64", ".20260303-000000-c-x86.abcd1234"):
        write_metrics(tmp_path / name, metrics())
    (tmp_path / "other").mkdir()
    found = [folder.name for folder in results_folders(tmp_path)]
    assert found == ["20260202-000000-b-arm64", "20260101-000000-a-x86"]


def test_a_folder_is_meant_by_its_path_or_by_its_name(tmp_path: Path) -> None:
    write_metrics(tmp_path / "runs" / "first", metrics())
    folder = tmp_path / "runs" / "first"
    assert results_folder_of(tmp_path / "runs", Path("first")) == folder
    assert results_folder_of(tmp_path / "elsewhere", folder) == folder
    shutil.rmtree(folder)
    with pytest.raises(UsageError, match=r"first: neither that nor .* is a folder with a metrics\.jsonl"):
        results_folder_of(tmp_path / "runs", Path("first"))
    with pytest.raises(UsageError, match=rf"^{folder}: that is not a folder with a metrics\.jsonl: `invoke runs`"):
        results_folder_of(tmp_path / "runs", folder)


def test_a_damaged_manifest_is_told_as_one_of_results(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "run", ("a", "b"), LABELS)
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(FormatError, match=r"manifest\.json is damaged: remove it, or pull again$"):
        read_results(folder)
