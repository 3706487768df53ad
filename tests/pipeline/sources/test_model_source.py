"""A user's Python file as a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ModelError
from pipeline.sources.model_source import build_module, find_model


def test_a_model_file_may_hold_dataclasses(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from torch import nn\n"
        "@dataclass\n"
        "class Sizes:\n"
        "    width: int = 5\n"
        "def build():\n"
        "    return nn.Linear(2, Sizes().width)\n"
    )
    assert [tuple(p.shape) for p in build_module(find_model(f"{tmp_path / 'own.py'}:build"), 5, 0).parameters()] == [
        (5, 2),
        (5,),
    ]


def test_a_model_file_that_ends_the_program_is_named(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(ModelError, match=r"own\.py cannot be imported: SystemExit: 3"):
        build_module(find_model(f"{tmp_path / 'own.py'}:build"), 5, 0)
