"""Updates with FedProx's term are those of torch's loop with the term in its loss, whatever step makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from device_runtime.engines.base import Batch, Engine, Proximal
from device_runtime.engines.lowered import LoweredEngine
from device_runtime.formats.model import read_model
from pipeline.optimizers import parse_optimizer
from pipeline.recipe import Preprocessing, Recipe
from tests.pipeline import stages
from tests.pipeline.lowering.test_clip_norm import (
    CLASSES,
    NETWORK,
    OPTIMIZERS,
    PIXELS,
    RATE,
    SIZE,
    accumulated,
    flat,
    single,
    sunk,
    untrained,
    updates_of,
)

MU, CLIP = 3.0, 1.6

Train = Callable[[Engine, Sequence[Sequence[Batch]]], None]


def by_torch(module: nn.Module, optimizer: torch.optim.Optimizer, updates: Sequence[Sequence[Batch]]) -> None:
    """Trains in torch's own words: the loss has the term."""
    starts = [parameter.detach().clone() for parameter in module.parameters()]
    for batches in updates:
        optimizer.zero_grad()
        for pixels, label in batches:
            image = torch.from_numpy(pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255)
            loss = nn.functional.cross_entropy(module(image), torch.from_numpy(label))
            pairs = zip(module.parameters(), starts, strict=True)
            loss = loss + MU / 2 * sum(((parameter - start) ** 2).sum() for parameter, start in pairs)
            torch.autograd.backward(loss / len(batches))
        nn.utils.clip_grad_norm_(module.parameters(), CLIP)
        optimizer.step()


def engine_of(folder: Path, mu: float) -> LoweredEngine:
    start = stages.untrained(folder)
    return LoweredEngine(folder, read_model(folder), start, SIZE, 1, Proximal(start.parameters.copy(), mu))


@pytest.fixture(scope="module", params=["adam", "sgd,momentum=0.9"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """An optimizer, and a model folder whose updates it makes."""
    folder = tmp_path_factory.mktemp("proximal")
    recipe = Recipe(Preprocessing(8, 8), parse_optimizer(request.param), clip_norm=CLIP, proximal=True)
    return request.param, stages.build(stages.module_of(NETWORK, folder), recipe, PIXELS, CLASSES, folder)


@pytest.mark.parametrize(("train", "batches"), [(single, 1), (sunk, 1), (accumulated, 3)])
def test_updates_are_torchs(built: tuple[str, Path], train: Train, batches: int) -> None:
    name, folder = built
    module, updates = untrained(NETWORK), updates_of(20, batches)
    by_torch(module, OPTIMIZERS[name](list(module.parameters())), updates)
    engine, model = engine_of(folder, MU), read_model(folder)
    train(engine, updates)
    for tensors, vector in ((model.parameters, engine.parameters()), (model.buffers, engine.buffers())):
        np.testing.assert_allclose(vector, flat(module, [t.name for t in tensors]), rtol=0, atol=1e-5)


def test_the_loss_is_told_without_the_term(built: tuple[str, Path]) -> None:
    _, folder = built
    [[first], [second]] = updates_of(2, 1)
    engines = engine_of(folder, MU), engine_of(folder, 0.0)
    # The first update is from the start itself, where the term is 0.
    for engine in engines:
        engine.train_step(*first, RATE, 1)
    np.testing.assert_array_equal(engines[0].parameters(), engines[1].parameters())
    assert engines[0].train_step(*second, RATE, 2) == engines[1].train_step(*second, RATE, 2)
    assert not np.array_equal(engines[0].parameters(), engines[1].parameters())


def test_the_model_says_that_it_takes_the_term(built: tuple[str, Path]) -> None:
    _, folder = built
    assert read_model(folder).proximal


def test_the_term_draws_to_the_start(built: tuple[str, Path]) -> None:
    _, folder = built
    start = stages.untrained(folder).parameters
    distances = []
    for mu in (0.0, 10 * MU):
        engine = engine_of(folder, mu)
        single(engine, updates_of(8, 1))
        distances.append(float(np.linalg.norm(engine.parameters() - start)))
    assert distances[1] < 0.95 * distances[0]


@pytest.mark.parametrize("train", [single, sunk])
def test_without_weight_it_trains_as_a_model_without_the_term(
    built: tuple[str, Path], train: Train, tmp_path: Path
) -> None:
    name, folder = built
    recipe = Recipe(Preprocessing(8, 8), parse_optimizer(name), clip_norm=CLIP)
    plain = stages.build_unchecked(stages.module_of(NETWORK, tmp_path), recipe, PIXELS, CLASSES, tmp_path)
    trained = []
    for engine in (engine_of(folder, 0.0), stages.open_engine(plain, SIZE)):
        train(engine, updates_of(4, 1))
        trained.append(engine.parameters())
    np.testing.assert_array_equal(trained[0], trained[1])
