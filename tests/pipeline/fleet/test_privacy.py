"""Differential privacy by Flower's classes, on messages as the fleet's are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.serverapp import strategy
from flwr.supercore.task_identity import TaskIdentity

from pipeline.errors import UsageError
from pipeline.fleet.options.privacy import Privacy
from pipeline.fleet.options.strategy import STRATEGIES, Strategy
from pipeline.fleet.privacy import check_buffers, mods_for, wrapped
from pipeline.fleet.strategies import make_strategy, read_state, write_state

DP = Privacy(clip=2.0, noise=0.5)
COUNT = 200_000
MEANS = ("fedavg", "fedprox")
OPTIONS = {"fedprox": (("proximal_mu", 0.1),)}

Vector = npt.NDArray[Any]


class Three:
    """A grid of three nodes."""

    def get_node_ids(self) -> list[int]:
        return [1, 2, 3]


@pytest.fixture(autouse=True)
def _a_task_of_flower(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which makes messages."""
    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 7)


def private(name: str = "fedavg") -> Any:
    return wrapped(make_strategy(Strategy(name, OPTIONS.get(name, ()))), DP, None)


def record(**arrays: Vector) -> ArrayRecord:
    return ArrayRecord({name: Array(array) for name, array in arrays.items()})


def asked(dp: Any, arrays: ArrayRecord) -> Message:
    """The first message of a round."""
    messages: list[Message] = list(dp.configure_train(1, arrays, ConfigRecord({"epochs": 1}), Three()))
    assert len(messages) == 3
    return messages[0]


def trained(message: Message, *others: Vector) -> list[Vector]:
    """What a device gives that would give `others`, by the mods that its message asks for."""
    names = list(message.content.array_records["arrays"])

    def train(message: Message, context: Context) -> Message:
        arrays = record(**dict(zip(names, others, strict=True)))
        return Message(RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": 3})}), reply_to=message)

    [mod] = mods_for(message)
    answer = mod(message, Context(0, 1, {}, RecordDict(), {}), train)
    return [array.numpy() for array in answer.content.array_records["arrays"].values()]


def answers(updates: Sequence[Vector], images: Sequence[int]) -> list[Message]:
    asking = Message(RecordDict(), dst_node_id=1, message_type="train")
    return [
        Message(
            RecordDict({"arrays": record(parameters=update), "metrics": MetricRecord({"num-examples": number})}),
            reply_to=asking,
        )
        for update, number in zip(updates, images, strict=True)
    ]


def test_a_device_clips_its_update_and_not_its_parameters() -> None:
    given = np.full(100, 50.0, np.float32)
    message = asked(private(), record(parameters=given))
    [made] = trained(message, given + np.float32(1.0))
    assert made.dtype == np.float32
    np.testing.assert_allclose(made - given, np.full(100, DP.clip / 10), rtol=1e-4)


def test_an_update_that_is_short_enough_stays() -> None:
    given = np.linspace(-1, 1, 100, dtype=np.float32)
    step = np.float32(0.1)
    message = asked(private(), record(parameters=given))
    [made] = trained(message, given + step)
    np.testing.assert_allclose(made, given + step, rtol=1e-6)


# The square of the second is 0 in float32.
@pytest.mark.parametrize("step", [0.0, 1e-30])
def test_an_update_without_length_stays(step: float) -> None:
    given = np.array([0.0, 1.5, -2.0], np.float32)
    update = given + np.float32(step)
    [made] = trained(asked(private(), record(parameters=given)), update)
    np.testing.assert_array_equal(made, update)


def test_all_arrays_are_clipped_as_one_vector() -> None:
    zeros = np.zeros(50, np.float32)
    message = asked(private(), record(parameters=zeros, other=zeros))
    first, second = trained(message, zeros + np.float32(3.0), zeros + np.float32(4.0))
    assert np.linalg.norm([*first, *second]) == pytest.approx(DP.clip, rel=1e-6)
    np.testing.assert_allclose(second, first * np.float32(4 / 3), rtol=1e-6)


def test_without_dp_nothing_is_clipped() -> None:
    assert mods_for(asked(make_strategy(Strategy()), record(parameters=np.zeros(3, np.float32)))) == []


@pytest.mark.parametrize("name", MEANS)
def test_each_device_has_the_same_weight_and_the_noise_is_of_those_that_answered(name: str) -> None:
    dp = private(name)
    updates = [np.full(COUNT, value) for value in (0.0, 1.0)]
    made, _ = dp.aggregate_train(1, answers(updates, [1, 10_000]))
    noisy = made["parameters"].numpy()
    assert noisy.dtype == np.float64
    scale = DP.noise * DP.clip / 2
    assert noisy.mean() == pytest.approx(0.5, abs=6 * scale / COUNT**0.5)
    assert noisy.std() == pytest.approx(scale, rel=0.02)


def test_who_seeded_numpy_does_not_know_the_noise() -> None:
    def noise() -> Vector:
        np.random.seed(0)
        made, _ = private().aggregate_train(1, answers([np.zeros(8)], [1]))
        found: Vector = made["parameters"].numpy()
        return found

    assert not np.array_equal(noise(), noise())


def test_a_device_that_failed_takes_no_part_and_none_at_all_make_nothing() -> None:
    [failed] = answers([np.zeros(8)], [1])
    failed = Message(Error(code=1, reason="it went away"), reply_to=failed)
    dp = private()
    made, _ = dp.aggregate_train(1, [failed, *answers([np.full(COUNT, 1.0)], [1])])
    assert made["parameters"].numpy().std() == pytest.approx(DP.noise * DP.clip, rel=0.02)
    assert dp.aggregate_train(2, [failed]) == (None, None)


def test_a_fleet_with_noise_can_be_resumed(tmp_path: Any) -> None:
    write_state(private(), tmp_path / "state")
    again = private()
    read_state(again, tmp_path / "state")
    made, _ = again.aggregate_train(1, answers([np.zeros(8)], [1]))
    assert made["parameters"].numpy().shape == (8,)


@pytest.mark.parametrize("name", sorted(STRATEGIES.keys() - set(MEANS)))
def test_a_strategy_that_takes_no_mean_is_refused(name: str) -> None:
    kind = getattr(strategy, STRATEGIES[name])
    # Some need options; they are refused whatever these are.
    with pytest.raises(UsageError, match=r"--dp clip=2\.0,noise=0\.5: .* leave out --strategy, or take fedprox"):
        wrapped(object.__new__(kind), DP, None)


def test_what_is_rounded_after_it_was_clipped_is_refused() -> None:
    with pytest.raises(UsageError, match="leave out --compress"):
        wrapped(make_strategy(Strategy()), DP, "float16")


def test_running_statistics_are_refused() -> None:
    check_buffers(DP, 0)
    with pytest.raises(UsageError, match="GroupNorm"):
        check_buffers(DP, 12)
