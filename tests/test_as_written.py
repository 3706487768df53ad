"""Modules that do what a forward graph cannot say: trained by the engine as torch trains them, or refused by name."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor, nn

from device_runtime.formats.checkpoint import Checkpoint, write_checkpoint
from device_runtime.formats.model import read_model
from device_runtime.formats.sample import picture
from pipeline.recipe import Optimizer, Preprocessing, Recipe
from pipeline.sources.model_source import find_model
from tests.networks import kinds
from tests.pipeline import stages

STEPS, SEED, BATCH = 20, 3, 16
TIED = ("second.weight",)
RECIPE = Recipe(Preprocessing(8, 8), Optimizer("adam"), batch_size=BATCH, learning_rate=3e-3)
PIXELS = picture(8, 8, 3)
FILE = Path(str(kinds.__file__))

Batch = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


def batches() -> list[Batch]:
    random = np.random.default_rng(SEED)
    colours = random.integers(0, 256, (kinds.CLASSES, 1, 1, 3), np.uint8)
    made: list[Batch] = []
    for _ in range(STEPS + 1):
        label = random.integers(0, kinds.CLASSES, BATCH)
        noise = random.integers(0, 256, (BATCH, 8, 8, 3), np.uint8)
        made.append((np.where(random.random((BATCH, 8, 8, 1)) < 0.6, noise, colours[label]), label))
    return made


def features_of(folder: Path, built: Path, image: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """What the runner gives the step: the image, or what a frozen first part makes of it."""
    if not read_model(built).features:
        return image
    session = ort.InferenceSession(str(built / "features.onnx"), providers=["CPUExecutionProvider"])
    (features,) = session.run(None, {session.get_inputs()[0].name: image})
    given: npt.NDArray[Any] = features
    return given


def as_input(image: npt.NDArray[np.uint8]) -> Tensor:
    return (torch.from_numpy(image).permute(0, 3, 1, 2).float() / 255).contiguous()


def logits_of(output: Any) -> Tensor:
    chosen: Tensor = output["logits"] if isinstance(output, dict) else output
    return chosen[0] if isinstance(chosen, tuple) else chosen


def by_torch(network: nn.Module, data: Sequence[Batch]) -> list[float]:
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], RECIPE.learning_rate)
    losses: list[float] = []
    for image, label in data:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(logits_of(network.train()(as_input(image))), torch.from_numpy(label))
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize("name", kinds.names())
def test_twenty_steps_are_torchs(name: str, tmp_path: Path) -> None:
    *data, (image, _) = batches()
    torch.manual_seed(SEED)
    network: nn.Module = getattr(kinds, name)()
    before = copy.deepcopy(network.state_dict())
    built = stages.build(find_model(f"{FILE}:{name}"), RECIPE, PIXELS, kinds.CLASSES, tmp_path, SEED)
    engine = stages.open_engine(built, BATCH)
    given = [(features_of(tmp_path, built, image), label) for image, label in data]
    losses = [engine.train_step(*batch, RECIPE.learning_rate, number) for number, batch in enumerate(given, start=1)]
    end = Checkpoint(STEPS, engine.parameters(), engine.buffers(), engine.states())
    write_checkpoint(tmp_path / "end.safetensors", end, read_model(built))
    np.testing.assert_allclose(losses, by_torch(network, data), rtol=1e-3)
    state = load_file(tmp_path / "end.safetensors")
    parameters = {key for key, _ in network.named_parameters()}
    for key, value in network.state_dict().items():
        if key not in state:
            assert key.endswith("num_batches_tracked") or torch.equal(value, before[key]) or key in TIED, key
        elif key not in parameters:
            expected = value.float().numpy()
            np.testing.assert_allclose(state[key].reshape(value.shape), expected, rtol=1e-3, atol=1e-4, err_msg=key)
    known = {key: torch.from_numpy(value).reshape(before[key].shape) for key, value in state.items() if key in before}
    network.load_state_dict(known, strict=False)
    with torch.no_grad():
        expected = logits_of(network.eval()(as_input(image))).numpy()
    _, logits = engine.evaluate(features_of(tmp_path, built, image), np.zeros(BATCH, np.int64))
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4 * float(np.abs(expected).max()))
