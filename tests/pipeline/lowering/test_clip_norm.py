"""Clipped updates are those of torch's loop with `clip_grad_norm_`, whatever step makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from device_runtime.engines.base import Batch, Engine
from device_runtime.engines.reference import ReferenceEngine
from device_runtime.formats.model import read_model
from device_runtime.formats.sample import picture
from pipeline.errors import ModelError
from pipeline.graphs.graph import Graph
from pipeline.optimizers import Optimizer, clipped, parse_optimizer
from pipeline.recipe import Preprocessing, Recipe
from tests.pipeline import stages

PIXELS, CLASSES, SIZE, RATE = picture(8, 8, 3), 5, 6, 0.002

# What is frozen lies between what trains, so that it stays within the steps.
NETWORK = """
from torch import nn

def network():
    first = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU()
    return nn.Sequential(*first, nn.Conv2d(4, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 5))
"""
TRAINABLE = ("0.*", "1.*", "6.*")

OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]] = {
    "adam": lambda parameters: torch.optim.Adam(parameters, RATE),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, RATE),
    "sgd": lambda parameters: torch.optim.SGD(parameters, RATE),
    "sgd,momentum=0.9": lambda parameters: torch.optim.SGD(parameters, RATE, momentum=0.9),
    "rmsprop": lambda parameters: torch.optim.RMSprop(parameters, RATE),
}


def single(engine: Engine, updates: Sequence[Sequence[Batch]]) -> None:
    for step, [(pixels, label)] in enumerate(updates, 1):
        engine.train_step(pixels, label, RATE, step)


def sunk(engine: Engine, updates: Sequence[Sequence[Batch]]) -> None:
    engine.train_steps([batch for [batch] in updates], [RATE] * len(updates), 1)


def accumulated(engine: Engine, updates: Sequence[Sequence[Batch]]) -> None:
    for step, batches in enumerate(updates, 1):
        engine.train_batches(batches, RATE, step)


def updates_of(count: int, batches: int) -> list[list[Batch]]:
    random = np.random.default_rng(7)
    shape = (SIZE, PIXELS.shape[0], PIXELS.shape[1], PIXELS.shape[2])

    def draw(classes: int) -> Batch:
        return random.integers(0, 256, shape, np.uint8), random.integers(0, classes, SIZE)

    # Images of one class pull in one direction: every other gradient is long.
    return [[draw(CLASSES if number % 2 else 1) for _ in range(batches)] for number in range(count)]


def untrained(text: str) -> nn.Module:
    """The module with the weights that the export draws of seed 1."""
    names: dict[str, Callable[[], nn.Module]] = {}
    exec(text, names)
    torch.manual_seed(1)
    return names["network"]()


def by_torch(
    module: nn.Module, optimizer: torch.optim.Optimizer, updates: Sequence[Sequence[Batch]], clip: float
) -> list[float]:
    """Trains `module` in torch's own words; returns each update's norm before it was clipped."""
    norms = []
    for batches in updates:
        optimizer.zero_grad()
        for pixels, label in batches:
            image = torch.from_numpy(pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255)
            loss = nn.functional.cross_entropy(module(image), torch.from_numpy(label)) / len(batches)
            torch.autograd.backward(loss)
        norms.append(float(nn.utils.clip_grad_norm_(module.parameters(), clip)))
        optimizer.step()
    return norms


def flat(module: nn.Module, names: Sequence[str]) -> np.ndarray:
    state = module.state_dict()
    return np.concatenate([state[name].numpy().ravel() for name in names])


@pytest.fixture(scope="module", params=["adam", "adamw", "sgd,momentum=0.9", "rmsprop"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, float]:
    """An optimizer, a model folder whose updates it makes, and the norm that they are clipped to."""
    # Between the norms of the updates, of one batch and of several.
    clip = 1.6
    folder = tmp_path_factory.mktemp("clipped")
    recipe = Recipe(
        Preprocessing(8, 8), parse_optimizer(request.param), clip_norm=clip, trainable=TRAINABLE, frozen_dtype="float16"
    )
    return request.param, stages.build(stages.module_of(NETWORK, folder), recipe, PIXELS, CLASSES, folder), clip


@pytest.mark.parametrize(("train", "batches"), [(single, 1), (sunk, 1), (accumulated, 3)])
def test_clipped_updates_are_torchs(
    built: tuple[str, Path, float], train: Callable[[Engine, Sequence[Sequence[Batch]]], None], batches: int
) -> None:
    name, folder, clip = built
    module, updates = untrained(NETWORK), updates_of(8, batches)
    for parameter in module[3].parameters():  # type: ignore[index]
        parameter.requires_grad_(False).copy_(parameter.half().float())
    norms = by_torch(module, OPTIMIZERS[name]([p for p in module.parameters() if p.requires_grad]), updates, clip)
    assert min(norms) < clip < max(norms)
    engine, model = stages.open_engine(folder, SIZE), read_model(folder)
    train(engine, updates)
    for tensors, vector in ((model.parameters, engine.parameters()), (model.buffers, engine.buffers())):
        np.testing.assert_allclose(vector, flat(module, [t.name for t in tensors]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("text", ["adam", "sgd"])
def test_the_reference_engine_clips(text: str, tmp_path: Path) -> None:
    network = NETWORK.replace("nn.BatchNorm2d(4), ", "nn.Identity(), ")
    recipe = Recipe(Preprocessing(8, 8), parse_optimizer(text), clip_norm=0.8)
    source = stages.module_of(network, tmp_path)
    folder = stages.build_unchecked(source, recipe, PIXELS, CLASSES, tmp_path, reference=True)
    module, updates = untrained(network), updates_of(8, 1)
    norms = by_torch(module, OPTIMIZERS[text]([*module.parameters()]), updates, 0.8)
    assert min(norms) < 0.8 < max(norms)
    model = read_model(folder)
    engine = ReferenceEngine(folder / "reference", model, stages.untrained(folder), 1)
    single(engine, updates)
    expected = flat(module, [tensor.name for tensor in model.parameters])
    np.testing.assert_allclose(engine.parameters(), expected, rtol=1e-4, atol=1e-5)


def test_without_it_the_steps_take_no_norm(tmp_path: Path) -> None:
    recipe = Recipe(Preprocessing(8, 8))
    folder = stages.build_unchecked(stages.module_of(NETWORK, tmp_path), recipe, PIXELS, CLASSES, tmp_path)
    for step in ("train_step", "update_step"):
        assert "ReduceL2" not in {node.op_type for node in onnx.load(folder / f"{step}.onnx").graph.node}


def test_a_package_that_does_not_clip_is_no_package_of_a_recipe_that_does(tmp_path: Path) -> None:
    source = stages.module_of(NETWORK, tmp_path)
    recipe = Recipe(Preprocessing(8, 8), Optimizer("sgd"))
    stages.build_unchecked(source, recipe, PIXELS, CLASSES, tmp_path)
    with pytest.raises(ModelError, match=r"update 1 of sgd moves .* otherwise than torch\.optim"):
        stages.check(source, replace(recipe, clip_norm=0.1), PIXELS, CLASSES, tmp_path)


@pytest.mark.parametrize("size", [1, 1023, 1024, 1025, 3_000_001])
def test_a_gradient_of_any_length_is_clipped(size: int) -> None:
    gradient = np.random.default_rng(0).normal(10, 1, size).astype(np.float32)
    expected = gradient / np.linalg.norm(gradient.astype(np.float64)) * 0.25
    np.testing.assert_allclose(clip(gradient, 0.25), expected, rtol=1e-5)
    # Shorter ones stay bit for bit.
    np.testing.assert_array_equal(clip(gradient, 1e5), gradient)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_not_hidden(value: float) -> None:
    given = torch.tensor([1.0, value, 2.0], requires_grad=True)
    given.grad = given.detach().clone()
    nn.utils.clip_grad_norm_([given], 1.0)
    np.testing.assert_array_equal(clip(np.array([1.0, value, 2.0], np.float32), 1.0), given.grad.numpy())


def clip(gradient: np.ndarray, max_norm: float) -> np.ndarray:
    """The gradient as the steps clip it."""
    g = Graph()
    g.name("gradient")
    g.publish({"clipped": clipped("gradient", max_norm, g)})
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, gradient.shape) for name in ("gradient", "clipped")]
    model = g.model("clip", infos[:1], infos[1:])
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"gradient": gradient})[0])
