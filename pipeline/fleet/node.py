"""One device's SuperNode: Flower's transport, registration and heartbeat, around the ClientApp of this project.

Flower's own program looks for a message every 3 s and starts a process for each; here the ClientApp runs in the node's
process, and an idle node looks often. It also answers questions while its device trains. A SuperNode of Flower itself
takes the same ClientApp: `flower-supernode --node-config "seat='…/seat.json'"`.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from device_runtime.formats.errors import FormatError
from pipeline.errors import PipelineError, in_one_line
from pipeline.fleet.flower import Link, is_loopback, make_quiet, read_key

if TYPE_CHECKING:
    from flwr.app import Context, Message

# An idle node asks at first so often, then less and less.
_FIRST_WAIT_S, _LONGEST_WAIT_S, _LONGEST_WAIT_AWAY_S = 0.05, 0.25, 2.0
_BACKOFF_S = 0.05


# The exit code of a node that the SuperLink does not take.
REFUSED = 3


def run_node(link: Link, seat: Path, key: Path | None) -> None:
    """Answers the SuperLink's messages until the process is ended.

    Args:
      link: where the SuperLink is.
      seat: the device's seat.json.
      key: the file with its private key, where the SuperLink asks nodes who they are.
    """
    from flwr.app import Context, RecordDict
    from flwr.supernode.fleet_http_connection import http_request_response

    certificates = str(link.certificates) if link.certificates else None
    keys = read_key(key) if key else None
    with (
        http_request_response(link.address, link.certificates is None, certificates, keys) as connection,
        ThreadPoolExecutor(1) as pool,
    ):
        node_id, receive, send, _, _, pull_object, push_object, confirm = connection
        config: dict[str, Any] = {"seat": str(seat)}
        context = Context(0, node_id, config, RecordDict(), {})
        longest = _LONGEST_WAIT_S if is_loopback(link.address) else _LONGEST_WAIT_AWAY_S
        working: Future[Message] | None = None
        wait = _FIRST_WAIT_S
        while True:
            received = receive()
            busy = received is not None
            if received:
                message = _whole(*received, pull_object, confirm)
                if message.metadata.message_type == "query":
                    context.node_config["busy"] = working is not None
                    _reply(_answer(message, context), send, push_object)
                elif working:
                    _reply(_refused(message, "it still works for an earlier round"), send, push_object)
                else:
                    working = pool.submit(_answer, message, context)
            if working and working.done():
                _reply(working.result(), send, push_object)
                busy, working = True, None
            wait = _FIRST_WAIT_S if busy else min(longest, wait * 1.5)
            time.sleep(_FIRST_WAIT_S if working else wait)


def _whole(message: Message, tree: Any, pull_object: Any, confirm: Any) -> Message:
    """A message with its content, which comes apart from it."""
    from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
    from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents, pull_objects

    run_id, message_id = message.metadata.run_id, message.metadata.message_id
    names = [part.object_id for part in iterate_object_tree(tree)]
    contents = pull_objects(names, partial(pull_object, run_id), initial_backoff=_BACKOFF_S)
    confirm(run_id, message_id)
    whole = cast("Message", inflate_object_from_contents(message_id, contents))
    whole.metadata.__dict__["_message_id"] = message_id
    return whole


def _answer(message: Message, context: Context) -> Message:
    """What the ClientApp answers; of an error in one line, as it is told to a user."""
    from pipeline.fleet.client_app import app

    try:
        reply: Message = app(message, context)
        return reply
    except (PipelineError, FormatError, OSError) as error:
        return _refused(message, str(error))
    except Exception as error:
        return _refused(message, in_one_line(error))


def _refused(message: Message, why: str) -> Message:
    from flwr.app import Error, Message
    from flwr.common.constant import ErrorCode

    return Message(Error(code=ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason=why), reply_to=message)


def _reply(reply: Message, send: Any, push_object: Any) -> None:
    from flwr.supercore.inflatable.inflatable_object import (
        get_all_nested_objects,
        get_object_tree,
        no_object_id_recompute,
    )
    from flwr.supercore.inflatable.inflatable_utils import push_objects

    reply.metadata.__dict__["_message_id"] = reply.object_id
    run_id = reply.metadata.run_id
    with no_object_id_recompute():
        wanted, session = send(reply, get_object_tree(reply), 0.0)
        push_objects(get_all_nested_objects(reply), partial(push_object, run_id, session), object_ids_to_push=wanted)


def main() -> None:
    """The node's process."""
    parser = argparse.ArgumentParser(prog="pipeline.fleet.node")
    parser.add_argument("--superlink", required=True)
    parser.add_argument("--root-certificates", type=Path)
    parser.add_argument("--key", type=Path)
    parser.add_argument("--seat", type=Path, required=True)
    given = parser.parse_args()
    make_quiet(given.seat.parent.parent)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    try:
        run_node(Link(given.superlink, given.root_certificates), given.seat, given.key)
    except SystemExit as ended:
        # With 1 Flower ends a node that the SuperLink does not take.
        sys.exit(REFUSED if ended.code == 1 else ended.code)


if __name__ == "__main__":
    main()
