"""A recurrent layer the whole way on x86: as a user trains it, several steps in one call, computed again, frozen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.bench.models import lstm
from tests.invoking import invoke, losses

pytestmark = pytest.mark.slow

MODEL = ("--model", f"{lstm.__file__}:build")


def test_an_lstm_reads_the_rows_of_all_of_mnist(tmp_path: Path, shared_data: Path) -> None:
    words = ("--data", shared_data / "mnist", "--cycles", "1000", "--threads", "1")
    run = invoke("run", *MODEL, *words, "--build", tmp_path / "build", "--runs", tmp_path)
    assert run.code == 0, run.stderr
    assert run.accuracies[-1] >= 0.95


def test_the_ways_of_training_give_the_same_losses(tmp_path: Path) -> None:
    short = ("--cycles", "40", "--threads", "1", "--build", tmp_path / "build", "--runs", tmp_path)
    plain, sunk, again = (invoke("run", *MODEL, *short, *way) for way in ((), ("--sink-size", "5"), ("--recompute",)))
    assert plain.code == sunk.code == again.code == 0, plain.stderr + sunk.stderr + again.stderr
    np.testing.assert_allclose(losses(sunk.results), losses(plain.results), rtol=1e-4)
    assert losses(again.results) == losses(plain.results)


def test_of_a_frozen_layer_the_features_are_kept(tmp_path: Path) -> None:
    words = ("--trainable", "head.*", "--cycles", "40", "--threads", "1")
    run = invoke("run", *MODEL, *words, "--build", tmp_path / "build", "--runs", tmp_path)
    assert run.code == 0, run.stderr
    assert list((tmp_path / "build").glob("package-*/model/features.onnx"))
    assert losses(run.results)[-1] < losses(run.results)[0]
