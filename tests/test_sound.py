"""Sound the whole way, as a user trains on it: key words, said by voices that were never heard in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from safetensors.torch import load_file
from torch.nn import functional

from device_runtime.formats.dataset import load_dataset
from pipeline.sources.models import keyword
from tests import in_torch
from tests.emulator.device import EmulatedDevice
from tests.emulator.training import losses_on
from tests.invoking import Invoked, invoke, losses
from tests.spoken import MANNERS, TESTED, TRAINED, VALIDATED, WORDS, write_spoken

# Adam's first steps are as long for a gradient that is rounding as for another: short ones keep what is compared alike.
RATE = "1e-4"


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve words in many voices."""
    return write_spoken(tmp_path_factory.mktemp("sound") / "spoken")


def run(data: Path, folder: Path, *words: str) -> Invoked:
    places = ("--build", folder / "build", "--runs", folder / "runs", "--threads", "1")
    done = invoke("run", "--model", "keyword", "--data", data, *places, *words)
    assert done.code == 0, done.stderr
    return done


@pytest.mark.slow
def test_words_are_known_in_voices_that_were_never_heard(spoken: Path, tmp_path: Path) -> None:
    words = ("--cycles", "500", "--learning-rate", "0.003", "--schedule", "cosine", "--augment", "shift,noise")
    done = run(spoken, tmp_path, *words)
    dataset = load_dataset(next((tmp_path / "build").glob("dataset-*")))
    voices = {"train": TRAINED, "test": TESTED, "validation": VALIDATED}
    each = len(WORDS) * len(MANNERS)
    assert dataset.description.counts == {split: each * len(timbres) for split, timbres in voices.items()}
    # By the trained model as an app has it, all that was held back.
    session = ort.InferenceSession(str(done.results / "keyword_trained.onnx"), providers=["CPUExecutionProvider"])
    right = list[bool]()
    for split in ("test", "validation"):
        x, y = dataset.splits[split].batch(np.arange(len(dataset.splits[split])))
        (logits, *_) = session.run(None, {session.get_inputs()[0].name: x})
        right += (logits.argmax(1) == y).tolist()
    assert np.mean(right) >= 0.95


def test_twenty_losses_are_torchs(spoken: Path, tmp_path: Path) -> None:
    done = run(spoken, tmp_path, "--classes", "yes,no", "--cycles", "20", "--learning-rate", RATE)
    module = keyword.build(2)
    module.load_state_dict(load_file(tmp_path / "build" / "keyword" / "export" / "state.safetensors"))
    folder = next((tmp_path / "build").glob("dataset-*"))
    batch = keyword.RECIPE.batch_size
    curve = in_torch.train(module, folder, 20, batch, float(RATE), functional.cross_entropy)
    np.testing.assert_allclose(losses(done.results), curve, rtol=1e-3)


@pytest.mark.slow
def test_a_few_steps_on_the_device(spoken: Path, emulator: EmulatedDevice, tmp_path: Path) -> None:
    data = ("--data", spoken, "--model", "keyword", "--classes", "yes,no")
    changing = ("--cycles", "3", "--augment", "shift,noise", "--learning-rate", RATE)
    training = (*changing, "--threads", "1", "--batch-size", "8")
    places = ("--build", tmp_path / "build", "--runs", tmp_path / "runs")
    here = invoke("run", *data, *training, *places)
    assert here.code == 0, here.stderr
    there = losses_on(emulator, tmp_path / "build", data, training)
    np.testing.assert_allclose(there, losses(here.results), rtol=1e-4)
