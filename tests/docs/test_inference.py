"""docs/inference.md: a program of a few lines that needs nothing of this project."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.photographs.photograph import PHOTOGRAPH, load_photograph
from pipeline.datasets.photographs.preparation import Preparation, grey_of
from pipeline.results.trained import metadata_of
from tests.invoking import ROOT
from tests.pipeline.inference.written import weights_of, write_linear_model


def snippet() -> str:
    (found,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "inference.md").read_text(), re.DOTALL)
    return str(found)


@pytest.mark.parametrize(
    ("preparation", "size"),
    [
        (PHOTOGRAPH, (300, 257)),
        (PHOTOGRAPH, (220, 640)),
        (grey_of(28, 28), (28, 28)),
        (grey_of(28, 28), (90, 31)),
        (grey_of(20, 30), (31, 31)),
    ],
    ids=str,
)
def test_without_this_project_one_gets_the_same_answer(
    preparation: Preparation, size: tuple[int, int], tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(noise).save(tmp_path / "a.png", exif=turned)
    model = tmp_path / "model.onnx"
    write_linear_model(model, preparation.shape, metadata_of(("first", "second"), preparation, "softmax"))
    command = [sys.executable, "-c", snippet(), str(model), str(tmp_path / "a.png")]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout.split()
    logits = weights_of(preparation.shape, 2) @ load_photograph(tmp_path / "a.png", preparation).ravel()
    assert said[0] == ("first", "second")[int(np.argmax(logits))]
    # Pillow rounds once more where it resizes before it cuts.
    assert float(said[1]) == pytest.approx(1 / (1 + np.exp(-abs(logits[0] - logits[1]))), abs=0.02)
