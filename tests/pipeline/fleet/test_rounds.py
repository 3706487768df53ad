"""Rounds over a real SuperLink, real nodes and local devices."""

from __future__ import annotations

import copy
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from flwr.app import ConfigRecord

from device_runtime.formats.dataset import read_description, write_description
from device_runtime.formats.metrics import read_records
from pipeline.errors import TargetError, UsageError
from pipeline.fleet.device import Arrays, Device
from pipeline.fleet.options.strategy import STRATEGIES, Strategy
from pipeline.fleet.records import of
from pipeline.fleet.roll import Node, Roll
from pipeline.fleet.rounds import Rounds
from pipeline.fleet.run import Nodes
from pipeline.fleet.seats import Fleet
from pipeline.fleet.strategies import make_strategy, read_state, write_state
from pipeline.fleet.wire import arrays_of, in_float64, record_of
from tests.pipeline.fleet.small import BATCH_SIZE, running, small_settings, untrained

DEVICES = ["local:1", "local:2", "local:3"]
SEED = 5

# What the strategies need beside their names, or are to do more than FedAvg with.
OPTIONS: Mapping[str, tuple[tuple[str, float], ...]] = {
    "fedprox": (("proximal_mu", 2.0),),
    "fedavgm": (("server_momentum", 0.9), ("server_learning_rate", 0.5)),
    "trimmedavg": (("beta", 0.34),),
    "krum": (("num_malicious_nodes", 0),),
}


class Running:
    """A fleet whose rounds are made one by one."""

    def __init__(self, grid: Any, start: Arrays, made: Fleet, own: Nodes) -> None:
        self.grid, self.start, self.digest, self.own = grid, start, made.digest, own
        self.seats = made.seats

    def rounds(self, strategy: Any, timeout_s: float = 120.0) -> Rounds:
        return Rounds(self.grid, strategy, self.digest, timeout_s)

    def ready(self) -> list[Node]:
        """All devices, when their nodes are up."""
        return Roll(self.grid, self.digest, {}, SEED).draw(1, 1.0, 3, DEVICES, 60, lambda nodes: None).chosen

    def train(self, strategy: Any, number: int = 1, arrays: Arrays | None = None, dtype: str = "float32") -> Any:
        rounds = self.rounds(strategy)
        found = self.ready()
        config = {"epochs": 1, "seed": number, "batch_size": BATCH_SIZE}
        return rounds.train(number, arrays or self.start, found, config, dtype, lambda device, answer: None)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Three devices, whose model has FedProx's term."""
    settings = small_settings(tmp_path_factory.mktemp("fleet"), len(DEVICES), "fedprox")
    with running(settings) as (made, grid, own):
        yield Running(grid, untrained(made), made, own)


def keeping(strategy: Any) -> list[tuple[np.ndarray, int]]:
    """The parameters and images of each update that a strategy is given from now on."""
    kept: list[tuple[np.ndarray, int]] = []
    right = strategy.aggregate_train

    def aggregate_train(number: int, replies: list[Any]) -> Any:
        for reply in replies:
            parameters = reply.content.array_records["arrays"]["parameters"].numpy()
            kept.append((parameters, reply.content.metric_records["metrics"]["num-examples"]))
        return right(number, replies)

    strategy.aggregate_train = aggregate_train
    return kept


def test_fedavg_is_the_weighted_mean_in_float64(fleet: Running) -> None:
    """Rounded to float32: to the last bit of the sum of shares, within 1e-7 of any other order of its operations."""
    strategy = make_strategy(Strategy())
    kept = keeping(strategy)
    outcome = fleet.train(strategy)
    assert [update.device for update in outcome.updates] == DEVICES
    images = [number for _, number in kept]
    assert sorted(images) == [13, 13, 14]
    shares = np.zeros(len(fleet.start.parameters))
    for parameters, number in kept:
        shares += parameters.astype(np.float64) * (number / sum(images))
    np.testing.assert_array_equal(outcome.arrays.parameters, shares.astype(np.float32))
    mean = np.average([parameters for parameters, _ in kept], axis=0, weights=images)
    # Where the exact mean lies between two numbers of float32, either is right.
    np.testing.assert_allclose(outcome.arrays.parameters, mean, rtol=1e-7, atol=0)
    assert not np.array_equal(outcome.arrays.parameters, fleet.start.parameters)


def test_a_device_evaluates_on_the_test_images_that_it_is_weighted_by(fleet: Running, tmp_path: Path) -> None:
    seat = fleet.seats[0]
    part = Path(seat.package) / "dataset"
    shutil.copytree(part, tmp_path / "data")
    description = read_description(part)
    both = {**description.splits, "validation": description.splits["train"]}
    write_description(tmp_path / "data", replace(description, splits=both))
    evaluated = Device(replace(seat, data=str(tmp_path / "data"))).evaluate(fleet.start)
    assert evaluated == Device(seat).evaluate(fleet.start)
    [record] = of(read_records(Path(seat.package) / "output" / "evaluation_0.jsonl"), "evaluation")
    assert (evaluated.images, "test") == (record["images"], record["split"])


def test_the_same_round_again_is_the_same(fleet: Running) -> None:
    first, second = (fleet.train(make_strategy(Strategy())) for _ in range(2))
    np.testing.assert_array_equal(first.arrays.parameters, second.arrays.parameters)
    assert [u.metrics["loss"] for u in first.updates] == [u.metrics["loss"] for u in second.updates]


@pytest.fixture(scope="module")
def replies(fleet: Running) -> list[Any]:
    """What three devices gave in a round."""
    strategy: Any = make_strategy(Strategy())
    kept: list[Any] = []

    def keep(number: int, given: list[Any]) -> tuple[None, None]:
        kept.extend(given)
        return None, None

    strategy.aggregate_train = keep
    with pytest.raises(TargetError, match="the strategy made nothing of 3 updates"):
        fleet.train(strategy)
    return kept


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_a_strategy_that_is_taken_up_again_goes_on_as_if_it_had_not_ended(
    fleet: Running, replies: list[Any], name: str, tmp_path: Path
) -> None:
    whole, again = (cast(Any, make_strategy(Strategy(name, OPTIONS.get(name, ())))) for _ in range(2))

    def round_of(strategy: Any, number: int, arrays: Arrays) -> Arrays:
        record = in_float64(record_of(arrays, "float32"))
        list(strategy.configure_train(number, record, ConfigRecord(), Nobody()))
        made, _ = strategy.aggregate_train(number, copy.deepcopy(replies))
        return arrays_of(made)

    first = round_of(whole, 1, fleet.start)
    write_state(whole, tmp_path / "state.safetensors")
    read_state(again, tmp_path / "state.safetensors")
    second, resumed = round_of(whole, 2, first), round_of(again, 2, first)
    np.testing.assert_array_equal(second.parameters, resumed.parameters)
    assert np.isfinite(second.parameters).all()
    assert not np.array_equal(first.parameters, fleet.start.parameters)


class Nobody:
    """A grid with one node, to which nothing is sent."""

    def get_node_ids(self) -> list[int]:
        return [1]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Strategy("fedadam", (("etas", 1.0),)), "has no option etas: it has eta, eta_l, beta_1, beta_2, tau.*mean eta"),
        (Strategy("fedavg", (("eta", 1.0),)), "fedavg has no option eta: it has none"),
        (Strategy("fedprox"), "give fedprox,proximal_mu=0.01"),
    ],
)
def test_an_option_that_a_strategy_has_not_is_refused(asked: Strategy, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make_strategy(asked)


def test_fedprox_stays_nearer_to_the_global_model(fleet: Running) -> None:
    moved = []
    for mu in (0.001, 50.0):
        outcome = fleet.train(make_strategy(Strategy("fedprox", (("proximal_mu", mu),))))
        moved.append(float(np.linalg.norm(outcome.arrays.parameters - fleet.start.parameters)))
    assert moved[1] < 0.9 * moved[0]


def test_float16_halves_what_travels_and_rounds_what_is_given(fleet: Running) -> None:
    strategy = make_strategy(Strategy())
    kept = keeping(strategy)
    halves, whole = fleet.train(strategy, dtype="float16"), fleet.train(make_strategy(Strategy()))
    for parameters, _ in kept:
        np.testing.assert_array_equal(parameters, parameters.astype(np.float16))
    for size in ("pushed-bytes", "pulled-bytes"):
        ratio = halves.updates[0].metrics[size] / whole.updates[0].metrics[size]
        assert 0.45 < ratio < 0.6
    np.testing.assert_allclose(halves.arrays.parameters, whole.arrays.parameters, atol=2e-3)


def test_a_device_whose_node_was_killed_is_left_out_and_comes_back(fleet: Running) -> None:
    os.kill(fleet.own.running["local:2"].pid, signal.SIGKILL)
    fleet.own.running["local:2"].wait()
    rounds = fleet.rounds(make_strategy(Strategy()), timeout_s=8)
    chosen = Roll(fleet.grid, fleet.digest, {}, SEED).draw(1, 1.0, 0, [], 0, lambda nodes: None).chosen
    outcome = rounds.train(1, fleet.start, chosen, {"epochs": 1}, "float32", lambda device, answer: None)
    assert {update.device for update in outcome.updates} | outcome.missing.keys() >= {"local:1", "local:3"}
    looks: list[list[str]] = []
    # As one that ends while it is waited for: at the first look nobody sees it yet.
    back = Roll(fleet.grid, fleet.digest, {}, SEED).draw(
        1, 1.0, 3, DEVICES, 60, lambda nodes: None, lambda: looks.append(fleet.own.revive() if looks else [])
    )
    assert ["local:2"] in looks
    assert [node.device for node in back.chosen] == DEVICES


def test_what_a_device_cannot_take_is_told_by_it(fleet: Running) -> None:
    rounds = fleet.rounds(make_strategy(Strategy()))
    outcome = rounds.train(1, fleet.start, fleet.ready(), {"epochs": 0}, "float32", lambda device, answer: None)
    assert outcome.arrays is None
    assert outcome.missing.keys() == set(DEVICES)
    assert all("--epochs 0, which is not" in why for why in outcome.missing.values())
