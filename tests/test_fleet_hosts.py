"""A fleet of several hosts, with TLS and keys of nodes, set up by the commands of docs/fleet.md."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.fleet.flower import QUIET
from pipeline.fleet.records import of, read, rounds
from pipeline.machine.ports import free_port, listens
from tests.faults.training import wait_for
from tests.invoking import ROOT, Invoked, invoke
from tests.test_fleet import TRAINING, left_running

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Hosts:
    """A SuperLink that asks for keys and a secret, and what its users have.

    Attributes:
      folder: certificates, keys and secret; a build folder for each host.
      address: of the SuperLink.
      made_of: options of the model and its data.
    """

    folder: Path
    address: str
    made_of: tuple[str, ...]

    @property
    def reached(self) -> tuple[str, ...]:
        """Options that lead there."""
        return ("--superlink", self.address, "--root-certificates", str(self.folder / "ca.pem"))

    def join(self, key: str, *, reached: Sequence[str] | None = None) -> list[str]:
        """The command of a host with one local device, and with that key."""
        words = ["fleet.join", "--devices", "local:1", *self.made_of, *(self.reached if reached is None else reached)]
        build = self.folder / f"build-{key or 'A'}"
        return [*words, "--build", str(build), *self.key(key)]

    def key(self, name: str) -> list[str]:
        """The option of a key; none for no name."""
        return ["--auth-supernode-private-key", str(self.folder / "keys" / name)] if name else []

    @contextmanager
    def joined(self, key: str) -> Iterator[subprocess.Popen[str]]:
        """A host that takes part while the block runs, and is interrupted then."""
        with (
            (self.folder / f"{key}.log").open("w") as log,
            subprocess.Popen(
                [sys.executable, "-m", "invoke", *self.join(key)],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
            ) as process,
        ):
            try:
                wait_for(lambda: "until Ctrl-C" in self.said(key) or process.poll() is not None)
                yield process
                process.send_signal(signal.SIGINT)
                process.wait(20)
            finally:
                process.kill()

    def said(self, key: str) -> str:
        """What it printed."""
        return (self.folder / f"{key}.log").read_text()


@pytest.fixture(scope="module")
def hosts(made_of: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """A SuperLink as docs/fleet.md starts it, on loopback, to which two of three keys are known."""
    folder = tmp_path_factory.mktemp("hosts")
    port = free_port()
    env = {**os.environ, **QUIET, "FLWR_HOME": str(folder / "flower")}

    def run(command: str) -> None:
        subprocess.run(["sh", "-ec", command], cwd=folder, env=env, check=True, capture_output=True)

    (folder / "keys").mkdir()
    (folder / "flower").mkdir()
    told = (ROOT / "docs" / "fleet.md").read_text().partition("## Several hosts")[2]
    run(told.partition("```sh")[2].partition("```")[0].replace("HOST", "localhost"))
    run('for key in A B C; do ssh-keygen -q -t ecdsa -b 384 -N "" -f keys/$key; done')
    words = "--isolation process --enable-supernode-auth --disable-runtime-dependency-installation --host 127.0.0.1"
    files = "--ssl-certfile server.pem --ssl-keyfile server.key --ssl-ca-certfile ca.pem"
    program = str(Path(sys.executable).with_name("flower-superlink"))
    command = [program, *words.split(), *files.split(), "--superexec-auth-secret-file", "fleet.secret"]
    with (folder / "superlink.log").open("w") as log:
        superlink = subprocess.Popen(
            [*command, "--port", str(port)], cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        wait_for(lambda: listens("127.0.0.1", port) or superlink.poll() is not None)
        address = f"localhost:{port}"
        (folder / "flower" / "config.toml").write_text(
            f'[superlink.fleet]\naddress = "{address}"\nroot-certificates = "{folder / "ca.pem"}"\n'
        )
        for key in "AB":
            run(f"{Path(sys.executable).with_name('flwr')} supernode register keys/{key}.pub fleet")
        yield Hosts(folder, address, made_of)
    finally:
        superlink.terminate()
        superlink.wait()


@pytest.fixture(scope="module")
def led(hosts: Hosts) -> Invoked:
    """A fleet of two hosts, one round after the other, as its command ended; both hosts have left then."""
    with hosts.joined("A") as first:
        for other in ("B", "C", "lead"):
            shutil.copytree(hosts.folder / "build-A", hosts.folder / f"build-{other}", copy_function=os.link)
        with hosts.joined("B") as second:
            words = ["--rounds", "2", "--min-devices", "2", *hosts.made_of, *TRAINING, *hosts.reached]
            words += ["--superexec-auth-secret-file", str(hosts.folder / "fleet.secret")]
            places = ["--build", str(hosts.folder / "build-lead"), "--runs", str(hosts.folder / "runs")]
            done = invoke("fleet", *words, *places)
            assert (first.poll(), second.poll()) == (None, None)
    assert "Traceback" not in hosts.said("A") + hosts.said("B")
    return done


def test_devices_of_two_hosts_train_together(hosts: Hosts, led: Invoked) -> None:
    assert led.code == 0, led.stderr
    records = read(led.results)
    assert [record["devices"] for record in rounds(records)] == [2, 2]
    names = [record["device"] for record in of(records, "device")]
    # Each host counts its local devices from 1.
    assert [re.fullmatch(r"local:1@.+-[0-9a-f]{4}", name) is not None for name in names] == [True, True]
    assert {record["device"] for record in of(records, "update")} == set(names)
    assert len(set(names)) == 2
    assert of(records, "missing") == []
    assert {record["device"] for record in of(records, "evaluation")} == set(names)
    before, *_, last = [record["accuracy"] for record in of(records, "global")]
    assert last > before + 0.2
    assert records[0]["partition"] is None


def test_nothing_runs_on_when_hosts_leave_but_the_superlink(hosts: Hosts, led: Invoked) -> None:
    assert left_running(hosts.folder / "build-") == []


@pytest.mark.parametrize(
    ("key", "reached", "said"),
    [
        ("C", None, r"does not take the node of local:1@.*: has it .*keys/C\.pub \(`flwr supernode register`\)"),
        ("", None, r"does not take the node of local:1@.*: .*give --auth-supernode-private-key"),
        ("A", ("--superlink", "{address}", "--root-certificates", "{folder}/server.pem"), "certificate verify failed"),
        ("A", ("--superlink", "{address}", "--root-certificates", "{folder}/names"), "--root-certificates .* has none"),
        ("A", ("--superlink", "{address}"), "if it speaks TLS, give its --root-certificates"),
        ("A", ("--superlink", "localhost:1"), r"localhost:1 does not answer \(.*refused"),
    ],
)
def test_a_host_that_is_not_let_in_is_told_in_a_line(
    hosts: Hosts, led: Invoked, key: str, reached: tuple[str, ...] | None, said: str
) -> None:
    if reached:
        reached = tuple(word.format(address=hosts.address, folder=hosts.folder) for word in reached)
    refused(invoke(*hosts.join(key, reached=reached)), said)


def test_who_leads_is_told_in_a_line_what_lacks(hosts: Hosts, led: Invoked, tmp_path: Path) -> None:
    other = tmp_path / "other.secret"
    other.write_bytes(b"other")
    places = ["--build", str(hosts.folder / "build-lead"), "--runs", str(tmp_path / "runs")]
    words = ["fleet", *hosts.made_of, *TRAINING, *places]
    refused(invoke(*words, "--superlink", hosts.address), "if it speaks TLS, give its --root-certificates")
    refused(invoke(*words, *hosts.reached, "--partition", "iid"), "--partition iid is for devices of this command")
    assert not (tmp_path / "runs").exists()
    wrong = invoke(*words, *hosts.reached, "--superexec-auth-secret-file", other)
    refused(wrong, f"asks who leads a fleet for its secret: has it another than {other}")


def refused(done: Invoked, said: str) -> None:
    assert done.code != 0
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert re.search(said, last), last
    assert "Traceback" not in done.stderr
