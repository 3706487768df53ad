"""What the options say, as the stages get it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from device_runtime.formats.options import Options
from pipeline.errors import UsageError
from pipeline.options import listed
from pipeline.settings import Settings


def test_spaces_around_commas_are_not_meant() -> None:
    assert listed("head.*, body.0.*") == ("head.*", "body.0.*")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "features"}, "--head and --backbone belong to --model transfer, not to lenet"),
        ({"backbone": "m.onnx"}, "--head and --backbone belong to --model transfer, not to lenet"),
        ({"model": "transfer", "head": "features", "backbone": "m.onnx"}, "leave it out with --backbone"),
        ({"model": "m.onnx", "weights": Path("w.pt")}, "an ONNX model has its own weights"),
        ({"model": "transfer", "backbone": "m.onnx", "weights": Path("w.pt")}, "an ONNX model has its own weights"),
        ({"loss": "mean_squared_error", "label_smoothing": 0.1}, "--label-smoothing belongs to --loss cross_entropy"),
        ({"run": "a", "checkpoint": "b"}, "--run evaluates the model that the run ended with: leave out --checkpoint"),
        ({"run": "a", "runner": Options(engine="reference")}, "leave out --engine"),
        ({"runner": Options(cycles=0)}, "--cycles 0 trains nothing"),
    ],
)
def test_options_that_contradict_each_other_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        Settings(**options)
