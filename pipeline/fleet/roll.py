"""Which devices a fleet has, and which of them take part in a round: drawn by the seed, then asked whether they can."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.fleet.messages import POLL_S, exchange
from pipeline.fleet.wire import CONFIG

if TYPE_CHECKING:
    from flwr.superlink.grid.http_grid import HttpGrid

# A node on loopback answers a question at once; one that does not is away.
_ANSWER_S = 10.0
_AGAIN_S = 3.0

SILENT = "its node does not answer"


@dataclass(frozen=True)
class Node:
    """A device as its node told of it.

    Attributes:
      id: of the node, in Flower.
      device: its name in the fleet.
      unready: why it cannot take part now; empty when it can.
      told: what else it says of itself.
    """

    id: int
    device: str
    unready: str
    told: Mapping[str, Any]


@dataclass(frozen=True)
class Drawn:
    """Who takes part in a round, by name; who was drawn and cannot; and how long they were asked, in seconds."""

    chosen: list[Node]
    unready: list[Node]
    seconds: float


class Roll:
    """The nodes of a SuperLink by the names of their devices. A node is asked who it is when it is first seen.

    Args:
      grid: reaches the nodes.
      digest: of the model: nodes with another one take no part.
      conditions: of a device, without which it takes no part in a round.
      seed: of the draws.
    """

    def __init__(self, grid: HttpGrid, digest: str, conditions: Mapping[str, Any], seed: int) -> None:
        self._grid = grid
        self._digest = digest
        self._conditions = conditions
        self._seed = seed
        # By the node's id, as each told last.
        self._known: dict[int, Node] = {}
        # Of devices that have another node now.
        self._gone: set[int] = set()
        # Devices that need no question before the next round.
        self._heard: frozenset[str] = frozenset()

    @property
    def known(self) -> list[Node]:
        """Who is there, by name, as each told last."""
        return sorted(self._known.values(), key=lambda node: natural(node.device))

    def hear(self, devices: Collection[str]) -> None:
        """Notes devices whose updates just came: where there are no conditions, that says that they can take part."""
        self._heard = frozenset() if self._conditions else frozenset(devices)

    def draw(
        self,
        number: int,
        fraction: float,
        least: int,
        starting: Collection[str],
        patience_s: float,
        on_wait: Callable[[Sequence[Node]], None],
        on_look: Callable[[], object] = lambda: None,
    ) -> Drawn:
        """Who takes part in a round, when there are enough.

        Args:
          number: of the round.
          fraction: of the devices that are there.
          least: so many of them at least.
          starting: devices whose nodes come up now.
          patience_s: so long these are waited for.
          on_wait: told of those that cannot take part, each time there are too few.
          on_look: called before each look at who is there.
        """
        end = time.monotonic() + patience_s
        self._gone |= {node.id for node in self._known.values() if node.device in starting}
        here = [node for node in self._known.values() if node.id not in self._gone]
        fresh = {node.device: node for node in here if node.device in self._heard}
        while True:
            on_look()
            fresh |= self._meet()
            complete = set(starting) <= {node.device for node in self._known.values()} or time.monotonic() > end
            if complete:
                began = time.perf_counter()
                asked = self._drawn(number, fraction, least, fresh)
                chosen = sorted((node for node in asked if not node.unready), key=lambda node: natural(node.device))
                unready = [node for node in [*asked, *self._others()] if node.unready]
                if len(chosen) >= least:
                    return Drawn(chosen, unready, time.perf_counter() - began)
                on_wait(unready)
                fresh = {}
            time.sleep(_AGAIN_S if complete else POLL_S)

    def _drawn(self, number: int, fraction: float, least: int, fresh: Mapping[str, Node]) -> list[Node]:
        names = {node.device for node in self.known} - {node.device for node in self._others()}
        count = max(least, round(fraction * len(names)), 1)
        return take(shuffled(names, f"{self._seed} {number}"), count, lambda some: self._ask(some, fresh))

    def _others(self) -> list[Node]:
        """Those of another model."""
        return [node for node in self.known if node.told["digest"] != self._digest]

    def _meet(self) -> dict[str, Node]:
        """Asks nodes that are new; returns them by name, each device once."""
        there = set(self._grid.get_node_ids()) - self._gone
        self._known = {node_id: node for node_id, node in self._known.items() if node_id in there}
        return _once(self._answers(there - self._known.keys()))

    def _ask(self, devices: Sequence[str], fresh: Mapping[str, Node]) -> list[Node]:
        """What devices say now, each once; those in `fresh` have just shown it."""
        found = {device: fresh[device] for device in devices if device in fresh}
        wanted = set(devices) - found.keys()
        answers = self._answers({node.id for node in self._known.values() if node.device in wanted})
        found |= _once(answers, wanted)
        return [found.get(device) or Node(0, device, SILENT, {}) for device in devices]

    def _answers(self, ids: Collection[int]) -> Iterator[Node]:
        from flwr.app import ConfigRecord, Message, RecordDict

        content = RecordDict({CONFIG: ConfigRecord(dict(self._conditions))})
        asked = [Message(content, dst_node_id=node_id, message_type="query", ttl=_ANSWER_S) for node_id in sorted(ids)]
        for answer in exchange(self._grid, asked, _ANSWER_S):
            if answer.has_error():
                continue
            told: dict[str, Any] = dict(answer.content.config_records[CONFIG])
            unready = str(told["unready"])
            if told["digest"] != self._digest:
                unready = "it has another model: join with the same options of the model"
            node = Node(answer.metadata.src_node_id, str(told["device"]), unready, told)
            self._known[node.id] = node
            yield node


def shuffled(devices: Collection[str], seed: str) -> list[str]:
    """The devices in an order of chance, which is the same for the same devices and seed."""
    return random.Random(seed).sample(sorted(devices, key=natural), len(devices))


def take(devices: Sequence[str], count: int, ask: Callable[[Sequence[str]], list[Node]]) -> list[Node]:
    """Asks the first `count` devices, and others in place of those that cannot; returns all that were asked."""
    asked, rest = list[Node](), list(devices)
    while rest and (lacking := count - sum(not node.unready for node in asked)):
        asked += ask(rest[:lacking])
        rest = rest[lacking:]
    return asked


def natural(device: str) -> tuple[str, int, str]:
    """By which local:10 comes after local:9."""
    name, colon, number = device.rpartition(":")
    return (name, int(number), device) if colon and number.isdecimal() else (device, 0, device)


def _once(answers: Iterator[Node], wanted: Collection[str] = ()) -> dict[str, Node]:
    """Each device once, where two hosts have it by the node that can; not more answers than `wanted` needs."""
    found: dict[str, Node] = {}
    for node in answers:
        if node.device not in found or (found[node.device].unready and not node.unready):
            found[node.device] = node
        if wanted and all(device in found and not found[device].unready for device in wanted):
            break
    return found
