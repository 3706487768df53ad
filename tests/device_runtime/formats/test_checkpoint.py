"""A checkpoint's file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from device_runtime.formats.checkpoint import Checkpoint, Run, read_checkpoint, write_checkpoint
from device_runtime.formats.options import Options
from device_runtime.plan import make_plan
from tests.device_runtime.small_model import SIZE, TINY


def test_the_same_content_is_the_same_bytes(tmp_path: Path) -> None:
    # A package that is made again, of the same model, is the one that its trainings were started with.
    nothing = np.empty(0, np.float32)
    plan = make_plan(Options(), TINY, Checkpoint(0, nothing, nothing, {}), 100).record()
    checkpoint = Checkpoint(3, np.ones(SIZE, np.float32), nothing, {}, Run("0a", "", plan))
    files = [tmp_path / f"{number}.safetensors" for number in range(5)]
    for file in files:
        write_checkpoint(file, checkpoint, TINY)
    assert len({file.read_bytes() for file in files}) == 1
    assert read_checkpoint(files[0], TINY).run.plan == plan
