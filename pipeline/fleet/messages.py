"""Flower's messages with their content, which travels apart from them, an object at a time.

Flower's own grid waits a second, then two, for an object that is still on its way: here it is asked for again at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from flwr.app import Message
    from flwr.superlink.grid.http_grid import HttpGrid

POLL_S = 0.1
_BACKOFF_S, _LONGEST_BACKOFF_S = 0.05, 0.5


def whole(message_id: str, tree: Any, pull: Callable[[str], bytes]) -> Message | None:
    """A message with its content; None where that never comes: who sent it has gone.

    Args:
      message_id: its name.
      tree: the names of its objects, as they came with it.
      pull: brings an object by its name.
    """
    from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
    from flwr.supercore.inflatable.inflatable_utils import ObjectPullError, inflate_object_from_contents, pull_objects

    names = [part.object_id for part in iterate_object_tree(tree)]
    try:
        contents = pull_objects(names, pull, initial_backoff=_BACKOFF_S, backoff_cap=_LONGEST_BACKOFF_S)
    except ObjectPullError:
        return None
    message = cast("Message", inflate_object_from_contents(message_id, contents))
    message.metadata.__dict__["_message_id"] = message_id
    return message


def exchange(grid: HttpGrid, messages: Sequence[Message], timeout_s: float) -> Iterator[Message]:
    """Sends messages and gives the answers that come in time. Flower's own waits 3 s between two looks."""
    asked = set(grid.push_messages(messages)) if messages else set()
    end = time.monotonic() + timeout_s
    while asked and time.monotonic() < end:
        for answer in _answers(grid, asked):
            asked.discard(answer.metadata.reply_to_message_id)
            yield answer
        if asked:
            time.sleep(POLL_S)


def _answers(grid: HttpGrid, asked: Collection[str]) -> Iterator[Message]:
    """The answers that came to those messages since it was asked before.

    Args:
      grid: reaches the SuperLink.
      asked: the messages' names.
    """
    from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest
    from flwr.proto.runtime_pb2 import PullAppMessagesRequest
    from flwr.supercore.inflatable.inflatable_protobuf_utils import make_pull_object_fn_protobuf

    client, node, run_id = grid._runtime_client, grid.node, grid.run.run_id
    pull = make_pull_object_fn_protobuf(client.PullObject, node, run_id)

    found = client.PullMessages(PullAppMessagesRequest(message_ids=asked))
    for message, tree in zip(found.messages_list, found.message_object_trees, strict=True):
        name = message.metadata.message_id
        if came := whole(name, tree, pull):
            yield came
        client.ConfirmMessageReceived(ConfirmMessageReceivedRequest(node=node, run_id=run_id, message_object_id=name))


def reply(message: Message, send: Any, push: Any) -> None:
    """Sends a node's answer by what its connection gives."""
    from flwr.supercore.inflatable.inflatable_object import (
        get_all_nested_objects,
        get_object_tree,
        no_object_id_recompute,
    )
    from flwr.supercore.inflatable.inflatable_utils import push_objects

    message.metadata.__dict__["_message_id"] = message.object_id
    run_id = message.metadata.run_id
    with no_object_id_recompute():
        wanted, session = send(message, get_object_tree(message), 0.0)
        push_objects(get_all_nested_objects(message), partial(push, run_id, session), object_ids_to_push=wanted)
