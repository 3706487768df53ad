"""fleet.jsonl as curves and tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_runtime.formats.errors import FormatError
from pipeline.fleet.history import Cost, Missing, read_history
from pipeline.results.records.training import Curve
from tests.pipeline.fleet.made import PULLED, PUSHED, accuracy, device, fleet, started, update, write_fleet


def test_curves_of_the_global_model_begin_before_the_first_round(tmp_path: Path) -> None:
    history = read_history(write_fleet(tmp_path, fleet(last=3)))
    assert history.accuracy == Curve((0, 1, 2, 3), tuple(accuracy(number, 3) for number in range(4)))
    assert history.told_accuracy is history.accuracy
    assert history.test_loss.steps == (0, 1, 2, 3)
    assert history.loss.steps == (1, 2, 3)
    assert (history.state, history.resumed, history.seconds, history.steps) == ("ended", (1,), 61.0, 100)


def test_a_device_has_the_global_models_accuracy_at_the_round_that_made_it_and_its_own_at_that_of_its_training(
    tmp_path: Path,
) -> None:
    history = read_history(write_fleet(tmp_path, fleet(devices=2, last=4, away=3)))
    first, last = history.members
    assert first.given.steps == (0, 1, 2, 3, 4)
    assert first.given.values[1:3] == (accuracy(1, 4), accuracy(2, 4))
    assert first.trained == Curve((1, 2, 3, 4), tuple(accuracy(number, 4) for number in (1, 2, 3, 4)))
    # It was missing in round 3.
    assert (last.given.steps, last.trained.steps, last.rounds) == ((0, 1, 3, 4), (1, 2, 4), 3)
    assert (first.last, first.personalised) == (0.95, 0.98)
    assert (first.cores, last.cores, last.name) == (None, 8, "Pixel 1")


def test_where_the_images_are_not_in_one_place_the_accuracy_is_the_devices_mean_by_their_test_images(
    tmp_path: Path,
) -> None:
    records = [
        started(rounds=1),
        device("a", (60, 0), 0),
        device("b", (0, 180), 1),
        {**update(1, "a", 0, 1), "accuracy_before": 0.1},
        {**update(1, "b", 1, 1), "accuracy_before": 0.3},
        {"event": "round", "round": 1, "devices": 2, "loss": 1.0, "seconds": 2.0, "own_seconds": 0.5, "file": "f"},
        {"event": "evaluation", "device": "b", "accuracy": 0.9, "loss": 1, "personalised_accuracy": None, "steps": 0},
    ]
    history = read_history(write_fleet(tmp_path, records))
    assert not history.accuracy
    assert history.told_accuracy.steps == (0, 1)
    assert history.told_accuracy.values == pytest.approx((0.25, 0.9))


def test_a_round_costs_what_its_slowest_device_took_and_the_bytes_of_all(tmp_path: Path) -> None:
    cost = read_history(write_fleet(tmp_path, fleet(devices=3, last=1))).costs[1]
    assert cost == Cost(0.02, 1.7, 0.03, 0.4, 3 * PUSHED, 3 * PULLED)
    assert cost.seconds == pytest.approx(2.15)


def test_rounds_that_a_device_missed_for_the_same_reason_are_together(tmp_path: Path) -> None:
    missing = [
        {"event": "missing", "round": number, "device": "local:4", "why": why}
        for number, why in ((1, "hot"), (2, "hot"), (3, "not plugged in"), (4, "hot"))
    ]
    whole = [record for record in fleet(last=4, away=9) if record.get("device") != "local:4"]
    history = read_history(write_fleet(tmp_path, [*whole, *missing]))
    assert history.missing == (Missing("local:4", (1, 2, 4), "hot"), Missing("local:4", (3,), "not plugged in"))


def test_a_device_that_was_only_waited_for_is_there(tmp_path: Path) -> None:
    missing = {"event": "missing", "round": 1, "device": "away", "why": "its node does not answer"}
    member = read_history(write_fleet(tmp_path, [*fleet(last=1), missing])).members[-1]
    assert (member.device, member.name, member.train, member.rounds, member.last) == ("away", "", (), 0, None)
    assert not member.given and not member.trained


def test_a_round_that_is_not_whole_counts_for_nothing_until_it_is_made_again(tmp_path: Path) -> None:
    whole = fleet(devices=2, last=2, away=9)
    places = [place for place, record in enumerate(whole) if record["event"] == "round"]
    killed = [*whole[: places[1]], {"event": "missing", "round": 2, "device": "local:1", "why": "killed"}]
    history = read_history(write_fleet(tmp_path / "killed", killed))
    assert history.state == "interrupted" and history.seconds is None
    assert list(history.costs) == [1]
    assert [member.trained.steps for member in history.members] == [(1,), (1,)]
    assert history.missing == ()
    again = [{**record, "accuracy": 0.5} if record["event"] == "update" else record for record in whole[places[0] :]]
    history = read_history(write_fleet(tmp_path / "again", [*killed, *again[1:]]))
    assert [member.trained.values[1] for member in history.members] == [0.5, 0.5]
    # It was missing before the round was made again.
    assert history.missing == ()
    assert [member.rounds for member in history.members] == [2, 2]


def test_the_strategy_has_flowers_name_and_the_options_that_were_given(tmp_path: Path) -> None:
    for place, (given, shown) in enumerate(
        (("fedavg", "FedAvg"), ("fedadam,eta=0.1,tau=0.01", "FedAdam with eta=0.1, tau=0.01"), ("other", "other"))
    ):
        assert read_history(write_fleet(tmp_path / str(place), [started(strategy=given)])).strategy == shown


def test_without_a_beginning_it_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="does not say how it began"):
        read_history(write_fleet(tmp_path, fleet()[1:]))
    with pytest.raises(FormatError, match="cannot be read"):
        read_history(tmp_path / "none")


def test_a_time_that_is_none_is_left_out(tmp_path: Path) -> None:
    assert read_history(write_fleet(tmp_path, [started(time=2**62)])).began is None
