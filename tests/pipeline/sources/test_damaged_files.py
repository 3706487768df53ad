"""Files that are damaged by chance are trained or refused in one line, whatever the libraries raise."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from device_runtime.formats.sample import picture
from pipeline.errors import PipelineError
from pipeline.sources.model_source import find_model, recipe_of
from tests.pipeline import stages
from tests.pipeline.sources.damage import damaged, originals
from tests.pipeline.sources.exported import CLASSES, SIDE

# About a minute; further ones: DAMAGED_FILES=500 pytest …
COUNT = int(os.environ.get("DAMAGED_FILES", "100"))
PIXELS = picture(SIDE, SIDE, 1)


@pytest.mark.slow
def test_damaged_files_give_one_line_or_work(tmp_path: Path) -> None:
    undamaged, path = originals(tmp_path), tmp_path / "net.onnx"
    trained = 0
    for seed in range(COUNT):
        path.write_bytes(damaged(undamaged[seed % len(undamaged)], seed))
        try:
            source = find_model(str(path))
            stages.build(source, recipe_of(source, PIXELS), PIXELS, CLASSES, tmp_path / "build")
            trained += 1
        except PipelineError as error:
            assert "\n" not in str(error), seed
        shutil.rmtree(tmp_path / "build", ignore_errors=True)
    assert 0 < trained < COUNT
