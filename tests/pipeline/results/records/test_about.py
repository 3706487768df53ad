"""What the host knew of a training."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from device_runtime.formats.errors import FormatError
from pipeline.results.records.about import FILE_NAME, describe, read_about, write_about
from tests.device_runtime.small_model import TINY, write_package


@pytest.fixture
def stages(tmp_path: Path) -> Path:
    for name, text in (("model/model.json", "{}"), ("check/check.json", json.dumps({"against": "torch"}))):
        (tmp_path / "tiny" / name).parent.mkdir(parents=True)
        (tmp_path / "tiny" / name).write_text(text)
    check = {"against": "torch", "differences": {"logits": 7e-7}}
    (tmp_path / "tiny" / "check" / "check.json").write_text(json.dumps(check))
    return tmp_path / "tiny"


def test_what_is_written_is_read(tmp_path: Path, stages: Path) -> None:
    about = describe(write_package(tmp_path / "package"), stages)
    assert about.classes == ("a", "b", "c")
    assert about.data == ("found 123 images of 3 classes: train 90, test 33",)
    assert about.table[1] == ("a", "30", "11", "0")
    assert about.check == "checked against torch: logits 7e-7"
    assert about.parameters == TINY.parameters_size
    assert about.optimizer.startswith("adam, beta1 0.9")
    assert read_about(tmp_path) is None
    write_about(tmp_path, about)
    assert read_about(tmp_path) == about


def test_the_check_of_an_earlier_model_is_not_told(tmp_path: Path, stages: Path) -> None:
    model = stages / "model" / "model.json"
    later = (stages / "check" / "check.json").stat().st_mtime + 10
    os.utime(model, (later, later))
    assert describe(write_package(tmp_path / "package"), stages).check == ""


@pytest.mark.parametrize("text", ["", "{}", '{"classes": 1}', "[]"])
def test_a_damaged_record_is_one_error(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(FormatError, match=r"about\.json is damaged \("):
        read_about(tmp_path)
