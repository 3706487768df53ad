"""Flower's SuperLink: one of our own on loopback, and the place of the ServerApp in it or in one elsewhere.

The command is the ServerApp's process itself (`--isolation process`, of flwr 1.42): strategy and results stay with who
typed it. Nothing here asks anything beyond the SuperLink: telemetry and update check are off before flwr is imported.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import secrets
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.commands import Process, beside
from pipeline.errors import TargetError, UsageError, in_one_line
from pipeline.machine.ports import LOOPBACK, free_port, listens

if TYPE_CHECKING:
    from flwr.superlink.grid.http_grid import HttpGrid

# What flwr reads when it is imported.
QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "GRPC_VERBOSITY": "NONE"}

_STARTS_IN_S = 60.0
_TASK_IN_S = 30.0
_AWAY_S = 20.0
_ANSWERS_IN_S = 20.0
_POLL_S = 0.05

# Of the run that the SuperLink is told of; its nodes run our ClientApp of the installed project.
_APP = {
    "pyproject.toml": b"""[project]
name = "train-on-device-fleet"
version = "1.0.0"
description = "A fleet of train-on-device"
license = "Apache-2.0"
dependencies = ["flwr>=1.42,<1.43"]

[tool.flwr.app]
publisher = "train-on-device"

[tool.flwr.app.components]
serverapp = "fleet_app:server"
clientapp = "fleet_app:app"
""",
    "fleet_app.py": b"""from flwr.serverapp import ServerApp

from pipeline.fleet.client_app import app  # noqa: F401

server = ServerApp()


@server.main()
def main(grid, context):
    raise RuntimeError("the ServerApp is `train-on-device fleet` itself: start the SuperLink with --isolation process")
""",
}


@dataclass(frozen=True)
class Link:
    """A SuperLink.

    Attributes:
      address: host:port.
      certificates: the file of its root certificates; None: without TLS, on loopback alone.
      secret: the file with what it asks of who leads a run over it; None: nothing.
    """

    address: str
    certificates: Path | None = None
    secret: Path | None = None

    @property
    def root(self) -> bytes | None:
        """The certificates."""
        return self.certificates.read_bytes() if self.certificates else None


def make_quiet(home: Path) -> None:
    """Has to come before the first import of flwr.

    Args:
      home: takes what flwr writes for itself.

    Raises:
      UsageError: it is not installed.
    """
    if find_spec("flwr") is None:
        raise UsageError("a fleet needs Flower: pip install -c constraints.txt '.[fleet]'")
    home.mkdir(parents=True, exist_ok=True)
    os.environ.update({**QUIET, "FLWR_HOME": str(home.resolve())})
    # It sets its own level when it is imported. What goes wrong is told by what is raised here.
    importlib.import_module("flwr.supercore.logger")
    logging.getLogger("flwr").setLevel(logging.ERROR)
    # No proxy stands between this machine and itself.
    hosts = [host for host in os.environ.get("NO_PROXY", "").split(",") if host]
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(dict.fromkeys([*hosts, LOOPBACK, "localhost"]))


def given_link(address: str, certificates: Path | None, secret: Path | None = None) -> Link:
    """The SuperLink that `--superlink` and the options beside it name.

    Raises:
      UsageError: the address cannot be meant, or one of another machine comes without certificates.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"--superlink {address}: give HOST:PORT")
    if certificates is None and not is_loopback(address):
        raise UsageError(f"--superlink {address}: give its --root-certificates; without TLS loopback alone is reached")
    if certificates and not certificates.is_file():
        raise UsageError(f"--root-certificates {certificates} is no file")
    if secret and not secret.is_file():
        raise UsageError(f"--superexec-auth-secret-file {secret} is no file")
    return Link(address, certificates, secret)


def check_answers(link: Link) -> None:
    """Refuses a SuperLink that a node would dial for ever.

    Raises:
      UsageError: the certificates are none.
      TargetError: nothing answers there, or not in TLS as it is asked to.
    """
    import httpx

    try:
        verify = ssl.create_default_context(cafile=link.certificates) if link.certificates else False
    except OSError as error:
        raise UsageError(f"--root-certificates {link.certificates} has none: {in_one_line(error)}") from error
    try:
        with httpx.Client(verify=verify, timeout=_ANSWERS_IN_S) as client:
            client.get(f"{'https' if link.certificates else 'http'}://{link.address}/")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        advice = (
            f"has it a certificate for that name by {link.certificates}?"
            if link.certificates
            else "if it speaks TLS, give its --root-certificates"
        )
        raise TargetError(
            f"the SuperLink at {link.address} does not answer ({in_one_line(error)}): {advice}"
        ) from error


def read_key(path: Path) -> tuple[Any, Any]:
    """A node's private key, and its public one.

    Raises:
      UsageError: the file has none.
    """
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    try:
        private = load_ssh_private_key(path.read_bytes(), None)
    # cryptography's errors have no base class of their own.
    except Exception as error:
        raise UsageError(f"--auth-supernode-private-key {path} cannot be read: {in_one_line(error)}") from error
    if not isinstance(private, EllipticCurvePrivateKey):
        raise UsageError(
            f"--auth-supernode-private-key {path} is no ECDSA key: make one with ssh-keygen -t ecdsa -b 384"
        )
    return private, private.public_key()


@contextmanager
def own_link(home: Path) -> Iterator[Link]:
    """A SuperLink of this command on loopback, which ends with the block.

    Args:
      home: takes its log, and what flwr writes for itself.

    Raises:
      TargetError: it does not start.
    """
    port = free_port()
    command: list[str | Path] = [
        Path(sys.executable).with_name("flower-superlink"),
        "--insecure",
        "--isolation",
        "process",
    ]
    command += ["--host", LOOPBACK, "--port", str(port), "--disable-runtime-dependency-installation"]
    # Others of this machine reach the port, too.
    secret = home / "superlink.secret"
    secret.unlink(missing_ok=True)
    secret.touch(0o600)
    secret.write_bytes(secrets.token_bytes(32))
    command += ["--superexec-auth-secret-file", secret]
    log = home / "superlink.log"
    with beside(command, log) as process:
        _wait_for(port, process, log)
        yield Link(f"{LOOPBACK}:{port}", secret=secret)


def is_loopback(address: str) -> bool:
    """Whether HOST:PORT is of this machine."""
    return address.rpartition(":")[0] in (LOOPBACK, "localhost", "[::1]")


def _wait_for(port: int, process: Process, log: Path) -> None:
    end = time.monotonic() + _STARTS_IN_S
    while time.monotonic() < end and process.poll() is None:
        if listens(LOOPBACK, port):
            return
        time.sleep(_POLL_S)
    raise TargetError(f"Flower's SuperLink did not start: {last_line(log)}; {log} has the rest")


def last_line(log: Path) -> str:
    """What a program said last."""
    lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
    return lines[-1] if lines else "it said nothing"


@contextmanager
def served(link: Link) -> Iterator[HttpGrid]:
    """The SuperLink's nodes, as the ServerApp of a run of its own reaches them; the run ends with the block.

    Raises:
      TargetError: the SuperLink does not answer, refuses the run, or has another process for its ServerApps.
    """
    import httpx
    from flwr.common.constant import SubStatus
    from flwr.common.serde import run_from_proto
    from flwr.proto.runtime_pb2 import PullTaskInputRequest, PushTaskOutputRequest
    from flwr.supercore.heartbeat import HeartbeatSender, make_task_heartbeat_fn_http
    from flwr.supercore.task_identity import TaskIdentity
    from flwr.superlink.grid.http_grid import HttpGrid

    insecure = link.certificates is None
    try:
        run_id = _start_run(link)
        grid = HttpGrid(link.address, insecure, link.root, token=_token(link, run_id))
        client = grid._runtime_client
        task = client.PullTaskInput(PullTaskInputRequest())
    except httpx.HTTPStatusError as error:
        if error.response.status_code != httpx.codes.UNAUTHORIZED:
            raise _no_superlink(link, error) from error
        asked = f"has it another than {link.secret}?" if link.secret else "give its --superexec-auth-secret-file"
        raise TargetError(f"the SuperLink at {link.address} asks who leads a fleet for its secret: {asked}") from error
    except httpx.HTTPError as error:
        raise _no_superlink(link, error) from error
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = task.task_id, run_id, task.context.node_id
    grid.set_run(run_from_proto(task.run))
    heart = HeartbeatSender(make_task_heartbeat_fn_http(client))
    heart.start()
    # A SuperLink with a database may be started again meanwhile.
    grid._retry_invoker.max_time = _AWAY_S
    status, details = SubStatus.STOPPED, "the command ended"
    try:
        yield grid
        status, details = SubStatus.COMPLETED, ""
    except httpx.HTTPError as error:
        raise TargetError(
            f"the SuperLink at {link.address} went away ({in_one_line(error)}): `invoke fleet --resume` goes on"
        ) from error
    finally:
        # An exit that waits for a SuperLink that is gone would take minutes.
        grid._retry_invoker.max_tries = 1
        with suppress(httpx.HTTPError):
            client.PushTaskOutput(PushTaskOutputRequest(sub_status=status, details=details))
        heart.stop()
        grid.close()


def _no_superlink(link: Link, error: Exception) -> TargetError:
    return TargetError(f"the SuperLink at {link.address} does not answer as one: {in_one_line(error)}")


def _start_run(link: Link) -> int:
    """Tells the SuperLink of a run; returns its id."""
    from flwr.cli.build import build_fab_from_files
    from flwr.common.serde import fab_to_proto
    from flwr.proto.control_pb2 import StartRunRequest
    from flwr.supercore.control.control_http_client import ControlHttpClient
    from flwr.supercore.fab import Fab
    from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor

    content, _ = build_fab_from_files(_APP)
    fab = Fab(hashlib.sha256(content).hexdigest(), content, {})
    client = ControlHttpClient.from_server_address(
        link.address,
        link.certificates is None,
        link.root,
        [RuntimeVersionHttpInterceptor(component_name="flwr-cli")],
    )
    with client:
        return int(client.StartRun(StartRunRequest(fab=fab_to_proto(fab))).run_id)


def _token(link: Link, run_id: int) -> str:
    """Takes the run's ServerApp as this process's task.

    Raises:
      TargetError: another process has it.
    """
    from flwr.proto.runtime_pb2 import AcquireTaskRequest
    from flwr.supercore.constant import TaskType
    from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor, SuperExecAuthHttpInterceptor
    from flwr.supercore.runtime import RuntimeHttpClient

    interceptors: list[Any] = [RuntimeVersionHttpInterceptor(component_name="SuperExec")]
    if link.secret:
        interceptors.append(
            SuperExecAuthHttpInterceptor(
                master_secret=link.secret.read_bytes(), protected_methods={"/flwr.proto.Runtime/AcquireTask"}
            )
        )
    client = RuntimeHttpClient.from_server_address(link.address, link.certificates is None, link.root, interceptors)
    end = time.monotonic() + _TASK_IN_S
    with client:
        while time.monotonic() < end:
            answer = client.AcquireTask(AcquireTaskRequest(supported_task_types=[TaskType.SERVER_APP]))
            if answer.HasField("task") and answer.token and answer.task.run_id == run_id:
                return str(answer.token)
            time.sleep(_POLL_S)
    raise TargetError(
        f"the SuperLink at {link.address} gives its ServerApps to another process: start it with --isolation process, "
        "and one fleet at a time"
    )
