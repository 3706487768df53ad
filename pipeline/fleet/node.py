"""One device's SuperNode: Flower's transport, registration and heartbeat, around the ClientApp of this project.

Flower's own program looks for a message every 3 s and starts a process for each; here the ClientApp runs in the node's
process, and an idle node looks often. It also answers questions while its device trains. A SuperNode of Flower itself
takes the same ClientApp: `flower-supernode --node-config "seat='…/seat.json'"`.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device_runtime.formats.errors import FormatError
from pipeline.errors import PipelineError, in_one_line
from pipeline.fleet.flower import Link, is_loopback, make_quiet, read_key
from pipeline.fleet.messages import reply, whole

if TYPE_CHECKING:
    from flwr.app import Context, Message

# An idle node asks at first so often, then less and less; one that trains is asked little, and answers when it is done.
_FIRST_WAIT_S, _LONGEST_WAIT_S, _LONGEST_WAIT_AWAY_S = 0.05, 0.25, 2.0
_BUSY_WAIT_S = 1.0


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
        longest_s = _LONGEST_WAIT_S if is_loopback(link.address) else _LONGEST_WAIT_AWAY_S
        working: Future[Message] | None = None
        wait_s = _FIRST_WAIT_S
        while True:
            received = receive()
            message = _whole(*received, pull_object) if received else None
            if message and message.metadata.message_type == "query":
                context.node_config["busy"] = working is not None
                reply(_answer(message, context), send, push_object)
            elif message and working:
                reply(_refused(message, "it still works for an earlier round"), send, push_object)
            elif message:
                working = pool.submit(_answer, message, context)
            if message:
                confirm(message.metadata.run_id, message.metadata.message_id)
            wait_s = _FIRST_WAIT_S if message else min(longest_s, wait_s * 1.5)
            if working is None:
                time.sleep(wait_s)
            elif wait([working], _BUSY_WAIT_S).done:
                reply(working.result(), send, push_object)
                working, wait_s = None, _FIRST_WAIT_S


def _whole(message: Message, tree: Any, pull_object: Any) -> Message | None:
    return whole(message.metadata.message_id, tree, partial(pull_object, message.metadata.run_id))


def _answer(message: Message, context: Context) -> Message:
    """What the ClientApp answers; of an error in one line, as it is told to a user."""
    from pipeline.fleet.client_app import app

    try:
        answer: Message = app(message, context)
        return answer
    except (PipelineError, FormatError, OSError) as error:
        return _refused(message, str(error))
    except Exception as error:
        return _refused(message, in_one_line(error))


def _refused(message: Message, why: str) -> Message:
    from flwr.app import Error, Message
    from flwr.common.constant import ErrorCode

    return Message(Error(code=ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason=why), reply_to=message)


def main() -> None:
    """The node's process."""
    parser = argparse.ArgumentParser(prog="pipeline.fleet.node")
    parser.add_argument("--superlink", required=True)
    parser.add_argument("--root-certificates", type=Path)
    parser.add_argument("--key", type=Path)
    parser.add_argument("--seat", type=Path, required=True)
    given = parser.parse_args()
    make_quiet(given.seat.parent.parent)
    # The first message would wait for them.
    for module in ("client_app", "privacy"):
        importlib.import_module(f"pipeline.fleet.{module}")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    try:
        run_node(Link(given.superlink, given.root_certificates), given.seat, given.key)
    except SystemExit as ended:
        # With 1 Flower ends a node that the SuperLink does not take.
        sys.exit(REFUSED if ended.code == 1 else ended.code)


if __name__ == "__main__":
    main()
