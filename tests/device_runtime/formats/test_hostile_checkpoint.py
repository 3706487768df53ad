"""A checkpoint whose digest is right and whose content cannot be meant: who made it could make the digest, too."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from device_runtime.formats.checkpoint import Checkpoint, Run, _content, read_checkpoint, write_checkpoint
from device_runtime.formats.errors import FormatError
from device_runtime.formats.model import layout
from device_runtime.formats.options import Options
from device_runtime.plan import make_plan
from tests.device_runtime.small_model import SIZE, TINY

NOTHING = np.empty(0, np.float32)
PLAN = make_plan(Options(), TINY, Checkpoint(0, NOTHING, NOTHING, {}), 100).record()

_STATES = {
    f"optimizer.{state}.{tensor.name}": np.ones(tensor.shape, np.float32)
    for state in TINY.optimizer.states
    for tensor in TINY.parameters
}


def forged(folder: Path, metadata: dict[str, str], tensors: dict[str, Any]) -> Path:
    """A checkpoint after 3 steps with other metadata and tensors, and a digest of them."""
    path = folder / "a.safetensors"
    write_checkpoint(path, Checkpoint(3, np.ones(SIZE, np.float32), NOTHING, {}, Run("0a", "", PLAN)), TINY)
    with safe_open(path, framework="numpy") as file:
        names = list(file.keys())
        content = {**file.metadata(), **metadata}
        arrays = {**{name: file.get_tensor(name) for name in names}, **tensors}
    content["content"] = _content(content, {name: _read_as(array) for name, array in arrays.items()})
    save_file(arrays, path, content)
    return path


def _read_as(array: Any) -> Any:
    return array.astype(np.float32) if array.dtype == np.float16 else array


def test_states_are_read(tmp_path: Path) -> None:
    assert read_checkpoint(forged(tmp_path, {}, _STATES), TINY).states.keys() == set(TINY.optimizer.states)


def test_what_is_not_changed_is_read(tmp_path: Path) -> None:
    found = read_checkpoint(forged(tmp_path, {}, {}), TINY)
    assert (found.step, found.run.plan) == (3, PLAN)
    assert make_plan(Options(), TINY, found, 100).first == 4


def test_a_tensor_in_float16_is_read_beside_others(tmp_path: Path) -> None:
    path = forged(tmp_path, {}, {"dense.bias": np.array([1, 2, 3], np.float16)})
    assert read_checkpoint(path, TINY).parameters[-3:].tolist() == [1, 2, 3]


def test_a_parameter_that_is_named_as_a_state_may_be_in_float16(tmp_path: Path) -> None:
    model = replace(TINY, parameters=layout([("optimizer.exp_avg.x", (SIZE,))]))
    write_checkpoint(tmp_path / "a", Checkpoint(0, np.ones(SIZE, np.float32), NOTHING, {}), model, "float16")
    assert read_checkpoint(tmp_path / "a", model).parameters.tolist() == [1] * SIZE


@pytest.mark.parametrize(
    ("metadata", "tensors"),
    [
        ({}, {"dense.bias": np.ones(1, np.float32)}),
        ({}, {"dense.bias": np.ones((), np.float32)}),
        ({}, {"dense.bias": np.ones((3, 1), np.float32)}),
        ({}, {"dense.bias": np.ones(3, np.float64)}),
        ({}, {"dense.bias": np.ones(3, np.int64)}),
        ({}, {"dense.bias": np.ones(1, np.float16)}),
        ({}, {"dense.bias": np.ones(6, np.float16)}),
        ({}, {"dense.bias": np.ones(6, np.uint8)}),
        ({}, _STATES | {"optimizer.exp_avg.dense.bias": np.ones(3, np.float16)}),
        ({"step": "-1"}, {}),
        ({"step": str(2**63)}, {}),
        ({"step": "9" * 5000}, {}),
        ({"step": "three"}, {}),
        ({"plan": "[]"}, {}),
        ({"plan": "[" * 100_000}, {}),
    ],
    ids=lambda case: str(case)[:40],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, metadata: dict[str, str], tensors: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match="is not a whole checkpoint"):
        read_checkpoint(forged(tmp_path, metadata, tensors), TINY)


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": "8"},
        {"batch_size": 0},
        {"batch_size": True},
        {"accumulate": -1},
        {"threads": 10**6},
        {"learning_rate": -1.0},
        {"proximal_mu": -1.0},
        {"proximal_mu": None},
        {"schedule": "zigzag"},
        {"schedule_last": 2**63 - 1},
        {"augment": ["flip"]},
        {"augment": "rotate"},
        {"between": "always"},
        {"more": 1},
    ],
    ids=str,
)
def test_a_plan_that_no_options_could_have_said_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = forged(tmp_path, {"plan": json.dumps({**PLAN, **changes})}, {})
    with pytest.raises(FormatError, match="the checkpoint's plan cannot be meant"):
        make_plan(Options(), TINY, read_checkpoint(path, TINY), 100)


def test_a_plan_without_its_schedule_is_refused(tmp_path: Path) -> None:
    path = forged(tmp_path, {"plan": '{"seed": 1}'}, {})
    with pytest.raises(FormatError, match="it has no schedule"):
        make_plan(Options(), TINY, read_checkpoint(path, TINY), 100)
