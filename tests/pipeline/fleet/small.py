"""A fleet that trains fast: a small model, few images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from device_runtime.formats.checkpoint import read_checkpoint, untrained_name
from device_runtime.formats.model import read_model
from device_runtime.formats.options import Options as RunnerOptions
from pipeline.fleet.device import Arrays
from pipeline.fleet.flower import make_quiet, own_link, served
from pipeline.fleet.options.declared import FleetOptions
from pipeline.fleet.options.devices import Devices
from pipeline.fleet.options.strategy import Strategy
from pipeline.fleet.run import Nodes, nodes
from pipeline.fleet.seats import Fleet, prepare_fleet
from pipeline.settings import Settings
from tests.faults.training import MODULE
from tests.pipeline.datasets.mnist import write_mnist

# Of 40 training images each of three devices has 13: three batches.
BATCH_SIZE = 4


def small_settings(folder: Path, local: int, strategy: str = "fedavg") -> Settings:
    """What asks for so many local devices in `folder`."""
    (folder / "small.py").write_text(MODULE)
    write_mnist(folder / "data")
    return Settings(
        model=f"{folder / 'small.py'}:tiny",
        data=folder / "data",
        build=folder / "build",
        runs=folder / "runs",
        runner=RunnerOptions(batch_size=BATCH_SIZE),
        fleet=FleetOptions(devices=Devices(local=local), strategy=Strategy(strategy)),
    )


@contextmanager
def running(settings: Settings) -> Iterator[tuple[Fleet, Any, Nodes]]:
    """The fleet, the grid that reaches its nodes, and the nodes."""
    home = settings.build / "fleet"
    make_quiet(home)
    fleet = prepare_fleet(settings)
    with ExitStack() as ending:
        link = ending.enter_context(own_link(home))
        own = ending.enter_context(nodes(link, fleet.seats, settings))
        yield fleet, ending.enter_context(served(link)), own


def untrained(fleet: Fleet) -> Arrays:
    """The model that a fleet begins with."""
    folder = Path(fleet.seats[0].package) / "model"
    model = read_model(folder)
    found = read_checkpoint(folder / untrained_name(model), model)
    return Arrays(found.parameters, found.buffers)
