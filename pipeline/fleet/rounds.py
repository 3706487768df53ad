"""The server's part: what the devices of a round answer, and the model that becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from pipeline.errors import TargetError
from pipeline.fleet.device import Arrays
from pipeline.fleet.messages import exchange
from pipeline.fleet.roll import Node, natural
from pipeline.fleet.wire import ARRAYS, CONFIG, METRICS, arrays_of, in_float64, packed, record_of, unpacked

if TYPE_CHECKING:
    from flwr.app import Message
    from flwr.serverapp import Grid
    from flwr.serverapp.strategy import Strategy
    from flwr.superlink.grid.http_grid import HttpGrid


@dataclass(frozen=True)
class Update:
    """What a device gave in a round: its numbers as it measured them, by Flower's names."""

    device: str
    metrics: Mapping[str, Any]


@dataclass
class Outcome:
    """What came of a round: the new global model, None where nobody gave anything; and why others gave nothing."""

    arrays: Arrays | None
    updates: list[Update] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def loss(self) -> float | None:
        """Mean of the updates' losses, by images; None where there are none."""
        images = sum(update.metrics["num-examples"] for update in self.updates)
        weighted = sum(update.metrics["loss"] * update.metrics["num-examples"] for update in self.updates)
        return weighted / images if images else None


OnAnswer = Callable[[str, "Message"], None]


class Rounds:
    """Runs rounds over the nodes of a SuperLink.

    Args:
      grid: reaches the nodes.
      strategy: Flower's.
      digest: of the model: nodes with another one take no part.
      timeout_s: after which a round goes on without those that have not answered.
    """

    def __init__(self, grid: HttpGrid, strategy: Strategy, digest: str, timeout_s: float) -> None:
        self._grid = grid
        self._strategy = strategy
        self._digest = digest
        self._timeout_s = timeout_s

    def train(
        self, number: int, arrays: Arrays, nodes: Sequence[Node], config: Mapping[str, Any], dtype: str, tell: OnAnswer
    ) -> Outcome:
        """One round.

        Args:
          number: of the round, from 1.
          arrays: the global model.
          nodes: that take part.
          config: what they are told of the training, by the names of `device.TRAINING`.
          dtype: in which the arrays travel.
          tell: told of each answer, with the device's name, as it comes.
        """
        from flwr.app import ConfigRecord

        told = ConfigRecord({**config, "digest": self._digest, "dtype": dtype})
        whole = in_float64(record_of(arrays, "float32"))
        messages = list(self._strategy.configure_train(number, whole, told, cast("Grid", _Chosen(self._grid, nodes))))
        travelling = record_of(arrays, dtype)
        for message in messages:
            message.content[ARRAYS] = travelling
        given, missing = self._answers(messages, nodes, tell)
        outcome = Outcome(None, missing=missing)
        for device, answer in given:
            answer.content[ARRAYS] = in_float64(answer.content.array_records[ARRAYS])
            outcome.updates.append(Update(device, dict(answer.content.metric_records[METRICS])))
        if given:
            record, _ = self._strategy.aggregate_train(number, [answer for _, answer in given])
            if record is None:
                raise TargetError(f"round {number}: the strategy made nothing of {len(given)} updates")
            outcome.arrays = arrays_of(record)
        return outcome

    def evaluate(
        self, arrays: Arrays, nodes: Sequence[Node], config: Mapping[str, Any], tell: OnAnswer
    ) -> tuple[list[Update], dict[str, str]]:
        """Has each node evaluate the model; returns what they measured, and why others did not."""
        from flwr.app import ConfigRecord, Message, RecordDict

        content = RecordDict(
            {ARRAYS: record_of(arrays, "float32"), CONFIG: ConfigRecord({**config, "digest": self._digest})}
        )
        messages = [Message(content, dst_node_id=node.id, message_type="evaluate") for node in nodes]
        given, missing = self._answers(messages, nodes, tell)
        return [Update(device, dict(answer.content.metric_records[METRICS])) for device, answer in given], missing

    def _answers(
        self, messages: Sequence[Message], nodes: Sequence[Node], tell: OnAnswer
    ) -> tuple[list[tuple[str, Message]], dict[str, str]]:
        """What the nodes gave, in the order of their devices' names, and why others gave nothing."""
        names = {node.id: node.device for node in nodes}
        missing: dict[str, str] = dict.fromkeys(
            names.values(), f"it did not answer within --round-timeout {self._timeout_s:g}"
        )
        good: dict[str, Message] = {}
        # A strategy gives all of them the same.
        contents = {id(message.content): message.content for message in messages}
        travelling = {key: packed(content) for key, content in contents.items()}
        for message in messages:
            # What is read later than that is of no round any more.
            message.metadata.ttl = self._timeout_s
            message.content = travelling[id(message.content)]
        for answer in exchange(self._grid, messages, self._timeout_s):
            device = names.get(answer.metadata.src_node_id)
            if device is None:
                continue
            if answer.has_error():
                missing[device] = str(answer.error.reason)
            else:
                answer.content = unpacked(answer.content)
                good[device] = answer
                del missing[device]
            tell(device, answer)
        return sorted(good.items(), key=lambda item: natural(item[0])), missing


class _Chosen:
    """The grid as a strategy sees it, which asks it for nodes to choose of: they are chosen."""

    def __init__(self, grid: HttpGrid, nodes: Sequence[Node]) -> None:
        self._grid = grid
        self._ids = [node.id for node in nodes]

    def get_node_ids(self) -> list[int]:
        """The nodes of this round."""
        return self._ids

    def __getattr__(self, name: str) -> Any:
        return getattr(self._grid, name)
