"""Every device that adb knows, asked at once: what it is, how it is, what ran there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pipeline.errors import TargetError
from pipeline.machine.facts import MachineFacts
from pipeline.targets.adb import server
from pipeline.targets.adb.adb import Adb
from pipeline.targets.adb.emulated import running
from pipeline.targets.adb.facts import QUESTION as WHAT_IT_IS
from pipeline.targets.adb.facts import parse_facts
from pipeline.targets.adb.parse import Address, Listed, names_server, not_ready, server_address
from pipeline.targets.adb.state import QUESTION as HOW_IT_IS
from pipeline.targets.adb.state import DeviceState, parse_state

# One that stands still is not waited for: a person is looking.
ANSWER_S = 15.0
AT_ONCE = 8


@dataclass(frozen=True)
class Device:
    """A device as its server lists it, and what it answers.

    Attributes:
      serial: what adb calls it.
      server: the adb server that has it.
      state: what the server says of it; `device` for one that takes commands.
      facts: what it is; None where it did not answer.
      now: how it is; None where it did not answer.
      trouble: why it takes or answers no commands, and what to do; empty where it does.
    """

    serial: str
    server: Address
    state: str
    facts: MachineFacts | None = None
    now: DeviceState | None = None
    trouble: str = ""


def own_server() -> Address:
    """The adb server that the environment means.

    Raises:
      TargetError: it means none.
    """
    return server_address(os.environ)


def emulated_servers() -> list[Address]:
    """Servers of emulated devices that run, where the environment names no other."""
    named, own = names_server(os.environ), own_server()
    return [device.server for device in running() if device.server != own and not named]


def ask_devices(servers: Sequence[Address]) -> list[Device]:
    """Asks each device of each server; none is waited for longer than a question's deadline.

    Raises:
      TargetError: a server does not answer.
    """
    found = [(address, listed) for address in servers for listed in server.devices(address)]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(lambda one: ask_device(*one), found))


def ask_device(address: Address, listed: Listed) -> Device:
    """One device's answers."""
    if trouble := not_ready(listed):
        return Device(listed.serial, address, listed.state, trouble=trouble)
    try:
        said = Adb(listed.serial, address).execute(f"{WHAT_IT_IS}\n{HOW_IT_IS}", timeout_s=ANSWER_S).text
    except TargetError as error:
        return Device(listed.serial, address, listed.state, trouble=str(error))
    return Device(listed.serial, address, listed.state, parse_facts(listed.serial, said), parse_state(said))
