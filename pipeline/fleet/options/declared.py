"""The options of `invoke fleet` and `invoke fleet.join`, each declared once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from device_runtime.formats.option import Option
from device_runtime.formats.option_values import positive_whole_number, share
from pipeline.fleet.options.devices import Devices, parse_devices
from pipeline.fleet.options.parting import Parting, parse_parting
from pipeline.fleet.options.privacy import Privacy, parse_privacy
from pipeline.fleet.options.strategy import STRATEGIES, Strategy, parse_strategy
from pipeline.options import positive_number

FLEET, JOIN = "fleet", "join"
_BOTH = (FLEET, JOIN)
_FEDAVG = Strategy()

# Devices where none are named.
HERE = Devices(local=4)

# Of the fleets that `bench` measures.
COUNTS = "1,2,4,8"


def _seconds(text: str) -> float:
    try:
        return positive_number(text)
    except ValueError as error:
        raise ValueError(f"seconds, {error}") from None


def _counts(text: str) -> tuple[int, ...]:
    """So many devices, and so many more."""
    try:
        return tuple(positive_whole_number(word) for word in (text or COUNTS).split(","))
    except ValueError:
        raise ValueError(f"numbers of local devices, as {COUNTS}") from None


@dataclass(frozen=True)
class FleetOptions:
    """What a user asks for of a fleet."""

    devices: Annotated[
        Devices | None,
        Option(
            "serials of adb, all that it sees, or local:4 (trainings on this machine; default without --superlink)",
            parse_devices,
            _BOTH,
            {JOIN: "serials of adb, all that it sees, or local:4 (trainings on this machine; default)"},
            example="local:4",
        ),
    ] = None
    rounds: Annotated[int, Option("of training and aggregation", positive_whole_number, (FLEET,))] = 10
    fleet: Annotated[
        tuple[int, ...],
        Option(
            f"instead: rounds of fleets of so many local devices (default: {COUNTS}), and what float16 loses",
            _counts,
            ("bench",),
            alone=True,
            example=COUNTS,
        ),
    ] = ()
    local_epochs: Annotated[
        int, Option("passes of each device over its own samples in a round", positive_whole_number, (FLEET,))
    ] = 1
    strategy: Annotated[
        Strategy,
        Option(f"of Flower: {', '.join(STRATEGIES)}, with its options: fedadam,eta=0.1", parse_strategy, (FLEET,)),
    ] = _FEDAVG
    partition: Annotated[
        Parting | None,
        Option(
            "how one dataset is parted among the devices: iid (default), dirichlet:0.5, or classes:2",
            parse_parting,
            _BOTH,
            example="iid",
        ),
    ] = None
    fraction: Annotated[float, Option("of the devices that take part in a round", share, (FLEET,))] = 1.0
    min_devices: Annotated[
        int, Option("a round waits for so many devices that are ready", positive_whole_number, (FLEET,))
    ] = 1
    round_timeout: Annotated[
        float, Option("seconds after which a round goes on without those that have not answered", _seconds, (FLEET,))
    ] = 3600.0
    superlink: Annotated[
        str | None,
        Option(
            "HOST:PORT of a SuperLink that runs elsewhere (default: one of this command on loopback)",
            str,
            _BOTH,
            {JOIN: "HOST:PORT of the fleet's SuperLink"},
            example="fleet.example.org:8000",
        ),
    ] = None
    root_certificates: Annotated[Path | None, Option("of that SuperLink's TLS", Path, _BOTH, example="ca.pem")] = None
    auth_supernode_private_key: Annotated[
        Path | None,
        Option(
            "with which the nodes of this machine say who they are; {serial} in it stands for each device's",
            Path,
            _BOTH,
            example="keys/{serial}",
        ),
    ] = None
    superexec_auth_secret_file: Annotated[
        Path | None,
        Option(
            "the secret of that SuperLink, without which nobody leads a fleet over it",
            Path,
            (FLEET,),
            example="fleet.secret",
        ),
    ] = None
    compress: Annotated[
        str | None,
        Option("in which type parameters travel: float16", str, (FLEET,), choices=("float16",), example="float16"),
    ] = None
    dp: Annotated[
        Privacy | None,
        Option(
            "differential privacy of devices: the longest update, and the noise in parts of it",
            parse_privacy,
            (FLEET,),
            example="clip=1.0,noise=0.5",
        ),
    ] = None
    personalise: Annotated[
        int | None,
        Option(
            "after the last round so many steps of each device on its own samples",
            positive_whole_number,
            (FLEET,),
            example="100",
        ),
    ] = None
    centralised: Annotated[
        bool, Option("train as long on all samples in one place, too, to compare with", bool, (FLEET,))
    ] = False

    @property
    def own_devices(self) -> Devices:
        """Those of this machine; a command that leads a fleet elsewhere has none that were not asked for."""
        return self.devices or (Devices() if self.superlink else HERE)
