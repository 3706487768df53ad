"""model.json is read as it was written, and what cannot be meant is refused."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from device_runtime.formats.errors import FormatError
from device_runtime.formats.model import FILE_NAME, FORMAT, Model, Tensor, read_model, write_model
from tests.device_runtime.small_model import TINY

WEIGHT, BIAS = TINY.parameters


def test_a_model_reads_back_as_it_was_written(tmp_path: Path) -> None:
    model = replace(TINY, features=(4, 2), buffers=(Tensor("mean", (), 0), Tensor("var", (3,), 1)))
    write_model(tmp_path, model)
    assert read_model(tmp_path) == model


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../evil"},
        {"name": "a/b"},
        {"name": ""},
        {"classes": 0},
        {"classes": 3.0},
        {"input": {"height": -1, "width": 4, "channels": 1}},
        {"features": [0]},
        {"features": "44"},
        {"parameters": []},
        {"parameters": [asdict(WEIGHT), {**asdict(BIAS), "offset": 0}]},
        {"parameters": [asdict(WEIGHT), {**asdict(BIAS), "offset": BIAS.offset + 1}]},
        {"parameters": [{**asdict(WEIGHT), "offset": -1}]},
        {"parameters": [{**asdict(WEIGHT), "shape": [-3, -16]}, asdict(BIAS)]},
        {"parameters": [{**asdict(WEIGHT), "shape": [2**40, 2**40]}]},
        {"parameters": [{**asdict(WEIGHT), "shape": [2**60] * 10_000}]},
        {"parameters": [asdict(WEIGHT), {**asdict(BIAS), "name": WEIGHT.name}]},
        {"optimizer": {"name": "adam", "options": {"beta1": None}, "states": []}},
        {"recipe": {**asdict(TINY.recipe), "batch_size": 0}},
        {"recipe": {**asdict(TINY.recipe), "learning_rate": True}},
        {"more": 1},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_a_model_that_cannot_be_meant_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    write_model(tmp_path, TINY)
    record = json.loads((tmp_path / FILE_NAME).read_text())
    (tmp_path / FILE_NAME).write_text(json.dumps({**record, **changes}))
    with pytest.raises(FormatError, match=r"model\.json is not a model description"):
        read_model(tmp_path)


def test_a_layout_of_another_digest_is_refused(tmp_path: Path) -> None:
    other: Model = replace(TINY, parameters=TINY.parameters[:1])
    record = {"format": FORMAT, "digest": TINY.digest, **asdict(other)}
    (tmp_path / FILE_NAME).write_text(json.dumps(record))
    with pytest.raises(FormatError, match=r"was changed since it was written"):
        read_model(tmp_path)
