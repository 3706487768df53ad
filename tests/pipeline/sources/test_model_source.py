"""A user's Python file as a model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.errors import ModelError
from pipeline.sources.model_source import build_module, find_model, plain_name


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


NAMES = {
    "lenet": "lenet",
    "my_net-2.1": "my_net-2.1",
    "it's $(touch evil); `id`": "it_s_touch_evil_id_",
    "a\nb\\c/d": "a_b_c_d",
    "-rf": "rf",
    "..": "model",
    ".hidden": "hidden",
    "café": "caf_",
    os.fsdecode(b"caf\xe9"): "caf_",
    "漢字": "_",
    "x" * 300: "x" * 100,
    "package-x86": "model_package-x86",
    "dataset-0": "model_dataset-0",
    "bench": "model_bench",
}


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_model_is_named_so_that_every_tool_takes_it(name: str) -> None:
    assert plain_name(name) == NAMES[name]


def test_a_factory_and_a_file_of_any_name_give_a_plain_one(tmp_path: Path) -> None:
    file = tmp_path / "-it's $(x)\n.py"
    file.touch()
    assert find_model(f"{file}:build").name == "it_s_x_"
    assert find_model(f"{file}:größe").name == "gr_e"
