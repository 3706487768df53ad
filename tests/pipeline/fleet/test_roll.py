"""Who takes part in a round."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import pytest

from pipeline.fleet.roll import Node, Roll, shuffled, take
from tests.pipeline.fleet.small import running, small_settings

DEVICES = [f"local:{number}" for number in range(1, 12)]
SEED = 5


def asking(away: Collection[str], asked: list[str]) -> Callable[[Sequence[str]], list[Node]]:
    """Devices that answer at once; notes whom it was asked for."""

    def ask(devices: Sequence[str]) -> list[Node]:
        asked.extend(devices)
        return [Node(0, device, "away" if device in away else "", {}) for device in devices]

    return ask


def test_the_order_follows_from_the_seed_and_the_names() -> None:
    orders = [shuffled(DEVICES, f"5 {number}") for number in range(20)]
    assert orders == [shuffled(set(DEVICES), f"5 {number}") for number in range(20)]
    assert all(sorted(order) == sorted(DEVICES) for order in orders)
    assert len({order[0] for order in orders}) > 5


def test_so_many_are_asked_as_a_round_needs() -> None:
    asked: list[str] = []
    assert [node.device for node in take(DEVICES, 3, asking((), asked))] == DEVICES[:3] == asked


def test_others_are_asked_in_place_of_those_that_are_not_ready() -> None:
    asked: list[str] = []
    found = take(DEVICES, 3, asking(("local:2", "local:4"), asked))
    assert asked == DEVICES[:5]
    assert [node.device for node in found if not node.unready] == ["local:1", "local:3", "local:5"]
    assert [node.device for node in found if node.unready] == ["local:2", "local:4"]


def test_where_too_few_are_ready_all_are_asked_once() -> None:
    asked: list[str] = []
    found = take(DEVICES, 10, asking(DEVICES[1:], asked))
    assert asked == DEVICES == [node.device for node in found]


class Counting:
    """A grid that notes to which nodes messages are sent."""

    def __init__(self, grid: Any) -> None:
        self._grid = grid
        self.sent: list[int] = []

    def push_messages(self, messages: Sequence[Any]) -> Any:
        self.sent += [message.metadata.dst_node_id for message in messages]
        return self._grid.push_messages(messages)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._grid, name)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str]]:
    """What reaches three devices, and their model's digest."""
    with running(small_settings(tmp_path_factory.mktemp("roll"), 3)) as (made, grid, _):
        yield grid, made.digest


def test_a_node_is_asked_when_it_is_first_seen_and_when_it_is_drawn(fleet: tuple[Any, str]) -> None:
    grid = Counting(fleet[0])
    roll = Roll(grid, fleet[1], {}, SEED)  # type: ignore[arg-type]
    drawn = [roll.draw(1, 0.3, 1, DEVICES[:3], 60, lambda nodes: None)]
    assert [node.device for node in roll.known] == DEVICES[:3]
    ids = {node.id for node in roll.known}
    assert set(grid.sent) == ids
    for number in range(2, 6):
        grid.sent.clear()
        drawn.append(roll.draw(number, 0.3, 1, [], 0, lambda nodes: None))
        assert grid.sent == [node.id for node in drawn[-1].chosen]
    devices = [[node.device for node in some.chosen] for some in drawn]
    assert devices == [shuffled(DEVICES[:3], f"{SEED} {number}")[:1] for number in range(1, 6)]
    # Another command over the same nodes, from a later round on.
    again = Roll(fleet[0], fleet[1], {}, SEED)
    assert [node.device for node in again.draw(4, 0.3, 1, DEVICES[:3], 60, lambda nodes: None).chosen] == devices[3]


def test_a_node_whose_update_came_is_not_asked_again_unless_there_are_conditions(fleet: tuple[Any, str]) -> None:
    grid = Counting(fleet[0])
    for conditions, asked in (({}, ["local:3"]), ({"min_battery": 0.0}, DEVICES[:3])):
        roll = Roll(grid, fleet[1], conditions, SEED)  # type: ignore[arg-type]
        roll.draw(1, 1.0, 0, DEVICES[:3], 60, lambda nodes: None)
        grid.sent.clear()
        roll.hear(DEVICES[:2])
        # Those of no battery cannot take part where it is to be full enough.
        drawn = roll.draw(2, 1.0, 0, [], 0, lambda nodes: None)
        assert sorted(node.device for node in (*drawn.chosen, *drawn.unready)) == DEVICES[:3]
        names = {node.id: node.device for node in roll.known}
        assert sorted(names[node_id] for node_id in grid.sent) == asked


def test_nodes_of_another_model_are_told_and_not_drawn(fleet: tuple[Any, str]) -> None:
    drawn = Roll(fleet[0], "another", {}, SEED).draw(1, 1.0, 0, DEVICES[:3], 60, lambda nodes: None)
    assert drawn.chosen == []
    assert [node.device for node in drawn.unready] == DEVICES[:3]
    assert all(node.unready.startswith("it has another model:") for node in drawn.unready)
