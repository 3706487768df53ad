"""This machine's devices in a fleet whose SuperLink and command are elsewhere."""

from __future__ import annotations

import time

from pipeline.errors import UsageError
from pipeline.fleet.flower import given_link, make_quiet
from pipeline.fleet.run import nodes
from pipeline.fleet.seats import prepare_fleet
from pipeline.progress import note
from pipeline.settings import Settings

_LOOKED_AT_S = 5.0


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
    fleet = prepare_fleet(settings)
    with nodes(link, fleet.seats, settings) as running:
        note(f"{', '.join(seat.device for seat in fleet.seats)} take part in {link.address}; Ctrl-C ends it")
        while True:
            time.sleep(_LOOKED_AT_S)
            running.revive()
