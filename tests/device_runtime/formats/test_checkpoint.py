"""A checkpoint's file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from device_runtime.formats.checkpoint import Checkpoint, Run, read_checkpoint, write_checkpoint
from device_runtime.formats.errors import FormatError
from device_runtime.formats.model import layout
from device_runtime.formats.options import Options
from device_runtime.plan import make_plan
from tests.device_runtime.small_model import SIZE, TINY

NOTHING = np.empty(0, np.float32)
NORMED = replace(TINY, buffers=layout([("norm.running_mean", (3,))]))
VALUES = np.linspace(-3, 3, SIZE, dtype=np.float32)


def test_the_same_content_is_the_same_bytes(tmp_path: Path) -> None:
    # A package that is made again, of the same model, is the one that its trainings were started with.
    plan = make_plan(Options(), TINY, Checkpoint(0, NOTHING, NOTHING, {}), 100).record()
    checkpoint = Checkpoint(3, np.ones(SIZE, np.float32), NOTHING, {}, Run("0a", "", plan))
    files = [tmp_path / f"{number}.safetensors" for number in range(5)]
    for file in files:
        write_checkpoint(file, checkpoint, TINY)
    assert len({file.read_bytes() for file in files}) == 1
    assert read_checkpoint(files[0], TINY).run.plan == plan


def test_in_float16_parameters_and_buffers_are_rounded_to_nearest(tmp_path: Path) -> None:
    file, buffers = tmp_path / "a.safetensors", np.array([1 / 3, 65519, 6e-8], np.float32)
    write_checkpoint(file, Checkpoint(0, VALUES, buffers, {}), NORMED, "float16")
    assert {tensor.dtype for tensor in load_file(file).values()} == {np.dtype(np.float16)}
    found = read_checkpoint(file, NORMED)
    np.testing.assert_array_equal(found.parameters, VALUES.astype(np.float16).astype(np.float32))
    np.testing.assert_array_equal(found.buffers, np.array([0.33325195, 65504, 5.9604645e-08], np.float32))
    assert found.parameters.dtype == found.buffers.dtype == np.float32


def test_what_float16_holds_reads_the_same_of_both_types(tmp_path: Path) -> None:
    values = VALUES.astype(np.float16).astype(np.float32)
    found = []
    for dtype in ("float32", "float16"):
        write_checkpoint(tmp_path / dtype, Checkpoint(0, values, NOTHING, {}), TINY, dtype)
        found.append(read_checkpoint(tmp_path / dtype, TINY).parameters)
    np.testing.assert_array_equal(found[0], found[1])


def test_in_float16_it_has_no_state_of_the_optimizer(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    states = dict.fromkeys(TINY.optimizer.states, VALUES)
    write_checkpoint(file, Checkpoint(3, VALUES, NOTHING, states), TINY, "float16")
    assert (read_checkpoint(file, TINY).step, read_checkpoint(file, TINY).states) == (3, {})


@pytest.mark.parametrize("value", [65520.0, -1e30, np.inf, np.nan])
def test_a_number_beyond_float16_is_refused(tmp_path: Path, value: float) -> None:
    for vectors in ((np.full(SIZE, value, np.float32), np.zeros(3, np.float32)), (VALUES, np.array([0, value, 0]))):
        parameters, buffers = (vector.astype(np.float32) for vector in vectors)
        with pytest.raises(FormatError, match="a number of the model is beyond float16: leave out --compress"):
            write_checkpoint(tmp_path / "a", Checkpoint(0, parameters, buffers, {}), NORMED, "float16")
    assert not list(tmp_path.iterdir())


def test_a_flipped_bit_in_float16_is_found(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    write_checkpoint(file, Checkpoint(0, VALUES, NOTHING, {}), TINY, "float16")
    content = bytearray(file.read_bytes())
    content[-9] ^= 1
    file.write_bytes(content)
    with pytest.raises(FormatError, match="its content is not what its digest says"):
        read_checkpoint(file, TINY)


def test_float16_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    write_checkpoint(file, Checkpoint(0, VALUES, NOTHING, {}), TINY, "float16")
    whole = file.read_bytes()
    header = json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])
    assert header["dense.bias"]["dtype"] == "F16"
    for size in (len(whole) - 1, len(whole) // 2, 9):
        file.write_bytes(whole[:size])
        with pytest.raises(FormatError, match="is not a whole checkpoint"):
            read_checkpoint(file, TINY)
