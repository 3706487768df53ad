"""round.json comes back as it was written, and what no round leaves is refused."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from device_runtime.formats.errors import FormatError
from device_runtime.formats.round import ROUND_FILE, RoundResult, read_round, write_round

RESULT = RoundResult(90, 25, 0.5, 0.75, 0.4, 0.25, 1.1, 2.5)


def test_a_result_comes_back(tmp_path: Path) -> None:
    write_round(tmp_path, RESULT)
    assert read_round(tmp_path) == RESULT
    assert [path.name for path in tmp_path.iterdir()] == [ROUND_FILE]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": 0}, "it trained on nothing"),
        ({"steps": -1}, "it trained on nothing"),
        ({"images": 9.5}, "images is of type float"),
        ({"accuracy": 1.01}, "an accuracy is no share"),
        ({"accuracy_before": -0.1}, "an accuracy is no share"),
        ({"loss": float("nan")}, "NaN is no JSON"),
        ({"test_loss": 1e999}, "Infinity is no JSON"),
        ({"seconds": -1.0}, "less than no time"),
        ({"seconds": None}, "seconds is of type NoneType"),
        ({"extra": 1}, "unknown 'extra'"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / ROUND_FILE).write_text(json.dumps(asdict(RESULT) | changed))
    with pytest.raises(FormatError, match=message) as refused:
        read_round(tmp_path)
    assert "let the device train again" in str(refused.value)


@pytest.mark.parametrize("content", [b"", b'{"images": 9', b"\xff\xfe", b"[]"])
def test_a_damaged_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / ROUND_FILE).write_bytes(content)
    with pytest.raises(FormatError, match="is not what a round leaves"):
        read_round(tmp_path)


def test_a_round_that_is_not_over_has_none(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="is not what a round leaves"):
        read_round(tmp_path)
