"""Batch normalisation in training: torch's losses and running statistics, through all stages of the host."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import nn

from device_runtime.engines.lowered import LoweredEngine
from device_runtime.formats.checkpoint import Checkpoint, write_checkpoint
from device_runtime.formats.model import Model, read_model
from device_runtime.formats.sample import picture
from pipeline.lowering.inference import write_inference_model
from pipeline.recipe import Optimizer, Preprocessing, Recipe
from tests.pipeline import stages

PIXELS = picture(8, 8, 3)
RECIPE = Recipe(Preprocessing(8, 8), Optimizer("sgd", (("momentum", 0.9),)))
RATE = 0.05

# The same layer twice, and one over N×C: each updates its statistics in its own way.
NETWORK = """
import torch
from torch import nn

class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4, momentum=0.2)
        self.second = nn.Conv2d(4, 4, 3, groups=4, bias=False)
        self.dense = nn.Linear(144, 6)
        self.last_norm = nn.BatchNorm1d(6, eps=1e-3)
        self.last = nn.Linear(6, 5)

    def forward(self, image):
        hidden = torch.relu(self.norm(self.first(image)))
        hidden = torch.relu(self.norm(self.second(hidden)))
        return self.last(torch.relu(self.last_norm(self.dense(hidden.flatten(1)))))

def network():
    return Network()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """export/, artifacts/ and model/ of the network."""
    folder = tmp_path_factory.mktemp("norm")
    stages.build(stages.module_of(NETWORK, folder), RECIPE, PIXELS, 5, folder, seed=3)
    return folder


def batches(count: int, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(5)
    shape = (size, PIXELS.shape[0], PIXELS.shape[1], PIXELS.shape[2])
    return [(random.integers(0, 256, shape, np.uint8), random.integers(0, 5, size)) for _ in range(count)]


def images(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255)


def untrained() -> nn.Module:
    """The module with the weights that the export drew."""
    names: dict[str, nn.Module] = {}
    exec(NETWORK.replace("def network", "torch.manual_seed(3)\ndef network"), names)
    module = names["network"]()
    assert isinstance(module, nn.Module)
    return module


def flat(module: nn.Module, names: Sequence[str]) -> np.ndarray:
    state = module.state_dict()
    return np.concatenate([state[name].numpy().ravel() for name in names])


def open_engine(folder: Path, batch_size: int) -> tuple[LoweredEngine, Model]:
    return stages.open_engine(folder / "model", batch_size), read_model(folder / "model")


def test_losses_parameters_and_statistics_are_torchs(folder: Path) -> None:
    module = untrained()
    engine, model = open_engine(folder, 6)
    assert [tensor.name for tensor in model.buffers] == [
        *("norm.running_mean", "norm.running_var", "last_norm.running_mean", "last_norm.running_var")
    ]
    np.testing.assert_array_equal(engine.buffers(), flat(module, [tensor.name for tensor in model.buffers]))
    optimizer = torch.optim.SGD(module.parameters(), RATE, momentum=0.9)
    for step, (pixels, label) in enumerate(batches(20, 6), 1):
        optimizer.zero_grad()
        expected = nn.functional.cross_entropy(module(images(pixels)), torch.from_numpy(label))
        torch.autograd.backward(expected)
        optimizer.step()
        assert engine.train_step(pixels, label, RATE, step) == pytest.approx(float(expected.detach()), rel=1e-4)
    for tensors, vector in ((model.buffers, engine.buffers()), (model.parameters, engine.parameters())):
        np.testing.assert_allclose(vector, flat(module, [t.name for t in tensors]), rtol=2e-3, atol=2e-4)


def test_accumulated_batches_each_move_the_statistics(folder: Path) -> None:
    module = untrained()
    engine, model = open_engine(folder, 6)
    engine.train_batches(batches(3, 6), RATE, 1)
    for pixels, _ in batches(3, 6):
        module(images(pixels))
    np.testing.assert_allclose(engine.buffers(), flat(module, [t.name for t in model.buffers]), rtol=1e-5, atol=1e-6)


def test_evaluation_and_the_inference_model_take_the_running_statistics(folder: Path, tmp_path: Path) -> None:
    engine, model = open_engine(folder, 6)
    for step, (pixels, label) in enumerate(batches(5, 6), 1):
        engine.train_step(pixels, label, RATE, step)
    trained = Checkpoint(5, engine.parameters(), engine.buffers(), engine.states())
    write_checkpoint(tmp_path / "trained.safetensors", trained, model)
    write_inference_model(
        folder / "export", folder / "model", tmp_path / "trained.safetensors", tmp_path / "trained.onnx"
    )
    module = untrained().eval()
    state = module.state_dict()
    for tensors, vector in ((model.parameters, engine.parameters()), (model.buffers, engine.buffers())):
        for t in tensors:
            state[t.name].copy_(torch.from_numpy(vector[t.offset : t.offset + t.size].reshape(t.shape)))
    pixels, label = batches(1, 4)[0]
    expected = module(images(pixels)).detach().numpy()
    _, logits = engine.evaluate(pixels, label)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    session = ort.InferenceSession(str(tmp_path / "trained.onnx"), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"image": pixels})[0], expected, rtol=1e-4, atol=1e-5)
