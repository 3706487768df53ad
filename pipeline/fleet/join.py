"""This machine's devices in a fleet whose SuperLink and command are elsewhere."""

from __future__ import annotations

import hashlib
import socket
import time
from dataclasses import replace
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.fleet.flower import check_answers, given_link, make_quiet
from pipeline.fleet.options.declared import HERE
from pipeline.fleet.run import nodes
from pipeline.fleet.seats import prepare_fleet
from pipeline.progress import note
from pipeline.settings import Settings

_LOOKED_AT_S = 1.0


def join(settings: Settings) -> None:
    """Packages for this machine's devices, and has a node of each take part until it is interrupted.

    Raises:
      UsageError: no SuperLink is named.
    """
    asked = settings.fleet
    if asked.superlink is None:
        raise UsageError("fleet.join takes part in a fleet elsewhere: give its --superlink HOST:PORT")
    make_quiet(settings.build / "fleet")
    link = given_link(asked.superlink, asked.root_certificates)
    check_answers(link)
    own = replace(asked, devices=asked.devices or HERE)
    fleet = prepare_fleet(replace(settings, fleet=own), _this_host(settings.build))
    with nodes(link, fleet.seats, settings) as running:
        note(f"{', '.join(seat.device for seat in fleet.seats)}: at the SuperLink {link.address} until Ctrl-C")
        while True:
            time.sleep(_LOOKED_AT_S)
            running.revive()


def _this_host(build: Path) -> str:
    """The host's name, and what tells build folders apart: each has devices of its own."""
    return f"{socket.gethostname()}-{hashlib.sha256(str(build.resolve()).encode()).hexdigest()[:4]}"
