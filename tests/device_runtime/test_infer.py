"""What the device says of images: the most probable classes, as torch has their probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from device_runtime.formats.answers import MODEL, SPLIT
from device_runtime.formats.bmp import write_bmp
from device_runtime.formats.dataset import Strip, pictures, write_description
from device_runtime.formats.errors import FormatError
from device_runtime.infer import BATCH, Options, answer
from device_runtime.probabilities import probabilities_of
from tests.pipeline.inference.written import weights_of, write_linear_model

SHAPE, NAMES = (6, 5, 3), ("a", "b", "c", "d")


def ask(folder: Path, **others: object) -> Options:
    """Images and a model in a folder, and the question."""
    images = np.random.default_rng(2).integers(0, 256, (BATCH + 3, *SHAPE), np.uint8)
    write_bmp(folder / "x.bmp", images)
    write_description(folder, pictures("x", *SHAPE, NAMES, {SPLIT: (Strip("x.bmp", 0, len(images)),)}))
    write_linear_model(folder / MODEL, SHAPE, {}, len(NAMES))
    return Options(folder, "softmax", 2, 1, 0.0)


def test_each_image_has_its_most_probable_classes(tmp_path: Path) -> None:
    answers = answer(ask(tmp_path))
    images = np.random.default_rng(2).integers(0, 256, (BATCH + 3, *SHAPE), np.uint8)
    logits = torch.from_numpy(images.reshape(len(images), -1).astype(np.float32) @ weights_of(SHAPE, len(NAMES)).T)
    probabilities, labels = torch.softmax(logits, 1).topk(2)
    assert answers.labels == tuple(map(tuple, labels.tolist()))
    np.testing.assert_allclose(answers.probabilities, probabilities, rtol=1e-4)
    assert answers.runs == answers.median_ms == 0


def test_a_run_with_one_image_is_timed_where_that_is_asked_for(tmp_path: Path) -> None:
    options = ask(tmp_path)
    answers = answer(Options(tmp_path, options.probability, 1, 1, 0.01))
    assert answers.runs >= 3
    assert 0 < answers.median_ms < 100


def test_probabilities_are_torchs_and_do_not_overflow() -> None:
    logits = np.array([[-1000, 0, 1000], [0.5, -0.5, 0.25]], np.float32)
    wanted = torch.from_numpy(logits.astype(np.float64))
    np.testing.assert_allclose(probabilities_of(logits, "softmax"), torch.softmax(wanted, 1))
    np.testing.assert_allclose(probabilities_of(logits, "sigmoid"), torch.sigmoid(wanted), atol=1e-300)
    np.testing.assert_allclose(probabilities_of(logits, "clip"), wanted.clamp(0, 1))


def test_what_does_not_fit_together_is_named(tmp_path: Path) -> None:
    options = ask(tmp_path)
    write_linear_model(tmp_path / MODEL, SHAPE, {}, 3)
    with pytest.raises(FormatError, match=r"logits of shape \(16, 3\) for 4 classes"):
        answer(options)
    write_linear_model(tmp_path / MODEL, (5, 6, 3), {}, 4)
    with pytest.raises(FormatError, match="does not make logits of uint8 pixels N×6×5×3"):
        answer(options)
    (tmp_path / MODEL).write_bytes(b"no model")
    with pytest.raises(FormatError, match="cannot be opened"):
        answer(options)
