"""Where the results of a training go."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.results.bring import folder_of
from pipeline.settings import Settings

START = {"event": "start", "run": "0a", "model": "tiny", "time": 1}


@pytest.mark.parametrize(("name", "is_it"), [("20260101-000000-tiny-x86", True), (".2026-tiny-x86.abcd1234", False)])
def test_the_folder_of_a_training_is_a_whole_one(tmp_path: Path, name: str, is_it: bool) -> None:
    # What a killed pull left has the record of the training, too.
    (tmp_path / name).mkdir()
    (tmp_path / name / "metrics.jsonl").write_text('{"event": "start", "run": "0a"}\n')
    found = folder_of(Settings(runs=tmp_path), START)
    assert (found == tmp_path / name) is is_it
    assert found.name[0] != "."
