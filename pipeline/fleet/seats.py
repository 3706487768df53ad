"""Before the first round: which devices there are, the data of each, its package, and all of it brought there."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from device_runtime.formats.dataset import Description, read_description
from device_runtime.formats.model import read_model
from pipeline.errors import DatasetError, TargetError, UsageError
from pipeline.fleet.described import describe, write_stand_in
from pipeline.fleet.options.devices import Devices
from pipeline.fleet.options.parting import Parting
from pipeline.fleet.parting import histogram, part
from pipeline.fleet.seat import AT, Seat, seat_folder, write_seat
from pipeline.packing.package import build_fleet_package
from pipeline.prepare import Prepared, convert_data, make_model, make_runtime, prepared_on
from pipeline.progress import note, stage
from pipeline.settings import Settings
from pipeline.sources.model_source import find_model, with_weights
from pipeline.targets import kind_of
from pipeline.targets.adb.choosing import every_serial
from pipeline.targets.device import connect

_ON_DEVICE = "device:"
_SERIAL = "{serial}"
# Each host counts its emulators from the same number.
_EMULATED = "emulator-"
_AT_ONCE = 8


@dataclass(frozen=True)
class Place:
    """A device that was asked for: its name in the fleet, what `--target` says of its kind, and its serial."""

    device: str
    target: str
    serial: str | None = None


@dataclass(frozen=True)
class Data:
    """The samples of a device: a dataset here, or a folder there; how many of each class to train and to test on."""

    here: Path | None
    there: str | None
    train: tuple[int, ...]
    test: tuple[int, ...]


@dataclass(frozen=True)
class Fleet:
    """What the rounds need: the devices, the model's folder, and the whole dataset, where this machine has it."""

    seats: tuple[Seat, ...]
    prepared: Prepared
    model: Path
    whole: Path | None

    @property
    def digest(self) -> str:
        """Of the model."""
        return read_model(self.model).digest


def places_of(devices: Devices, host: str = "") -> list[Place]:
    """The devices that were asked for.

    Args:
      devices: as they were typed.
      host: behind the names of those that another host may have, too.

    Raises:
      TargetError: one is not there.
    """
    at = f"{AT}{host}" if host else ""
    serials = [*devices.serials]
    if devices.every:
        serials += [serial for serial in every_serial() if serial not in serials]
        if not serials and not devices.local:
            raise TargetError("--devices all: adb sees none: connect one, or give local:4 to try on this machine")
    found = [
        Place(serial + (at if serial.startswith(_EMULATED) else ""), connect(serial).abi.target, serial)
        for serial in serials
    ]
    return [*found, *(Place(f"local:{number}{at}", "x86") for number in range(1, devices.local + 1))]


def prepare_fleet(settings: Settings, host: str = "") -> Fleet:
    """Converts and parts the data, builds a package for each device and brings it there.

    Args:
      settings: what the user asks for.
      host: what tells this host's devices from others' with the same name; empty where the fleet has one host.

    Raises:
      PipelineError: one of it cannot be done.
    """
    places = places_of(settings.fleet.own_devices, host)
    source = with_weights(find_model(settings.model, settings.head, settings.backbone), settings.weights)
    owned, dataset = _own_data(places, settings)
    _check_classes(read_description(dataset))
    prepared = prepared_on(dataset, source, settings)
    least = (settings.runner.batch_size or prepared.recipe.batch_size) * (settings.runner.accumulate or 1)
    data = owned or (_parted(dataset, places, settings, least) if places else [])
    _check_samples(places, data, least)
    if prepared.recipe.frozen_dtype == "int8" and any(own.there for own in data):
        raise UsageError("--frozen-dtype int8 measures what samples make of a layer, and none of them is here")
    if settings.fleet.strategy.name == "fedprox":
        prepared = replace(prepared, recipe=replace(prepared.recipe, proximal=True))
    model = make_model(prepared, settings)
    kinds = {(place.target, place.serial is None): place for place in places}
    runtimes = {known: _runtime_of(place, settings) for known, place in kinds.items()}
    with stage("package"):
        seats = [
            _seat(place, own, runtimes[place.target, place.serial is None], source.name, model, settings)
            for place, own in zip(places, data, strict=True)
        ]
    _push_all(seats)
    return Fleet(tuple(seats), prepared, model, None if owned else dataset)


def seat_here(fleet: Fleet, settings: Settings) -> Seat:
    """This machine with the whole dataset, whose test images it evaluates.

    Args:
      fleet: one that has it.
      settings: where things come from and go to.
    """
    assert fleet.whole is not None
    place = Place("this machine", "x86")
    runtime = _runtime_of(place, settings)
    return _seat(place, _here(fleet.whole), runtime, fleet.prepared.source.name, fleet.model, settings)


def _runtime_of(place: Place, settings: Settings) -> Path:
    return make_runtime(replace(settings, target=place.target, serial=place.serial))


def _seat(place: Place, own: Data, runtime: Path, model_name: str, model: Path, settings: Settings) -> Seat:
    """Builds the package of a device, and writes its seat.json."""
    kind = kind_of(place.target, place.serial)
    folder = seat_folder(settings.build, place.device)
    package = folder / f"fleet-{kind.name}"
    build_fleet_package(kind.name, model_name, runtime, model, own.here, package)
    seat = Seat(
        device=place.device,
        target=place.target,
        serial=place.serial,
        package=str(package.resolve()),
        data=own.there,
        train=own.train,
        test=own.test,
        # Trainings on one machine would take each other's cores.
        threads=settings.runner.threads or (1 if place.serial is None else None),
    )
    write_seat(folder, seat)
    return seat


def _own_data(places: Sequence[Place], settings: Settings) -> tuple[list[Data], Path]:
    """The data that each device has of its own, none where one dataset is to be parted; and what it is like."""
    text = "" if settings.data is None else str(settings.data)
    partition = settings.fleet.partition
    own = _SERIAL in text or text.startswith(_ON_DEVICE)
    if not places and (own or partition):
        given = f"--data {text}" if own else f"--partition {partition}"
        raise UsageError(
            f"{given} is for devices of this command, and it has none: leave it out, or name some with --devices"
        )
    if not own:
        return [], convert_data(settings)
    if partition:
        raise UsageError(f"--partition {partition} parts one dataset, {text} is each device's own: leave it out")
    if text.startswith(_ON_DEVICE):
        return _on_devices(places, text.removeprefix(_ON_DEVICE), settings)
    names = [plain_name(place) for place in places]
    folders = [convert_data(replace(settings, data=Path(text.replace(_SERIAL, name)))) for name in names]
    _check_alike([read_description(folder) for folder in folders], places)
    return [_here(folder) for folder in folders], folders[0]


def plain_name(place: Place | Seat) -> str:
    """What `{serial}` stands for: a colon is none of a folder's name everywhere."""
    return place.serial or place.device.partition(AT)[0].replace(":", "-")


def _parted(dataset: Path, places: Sequence[Place], settings: Settings, least: int) -> list[Data]:
    how = settings.fleet.partition or Parting("iid")
    with stage("part"):
        return [
            _here(p) for p in part(dataset, len(places), how, settings.seed, settings.build / "fleet" / "parts", least)
        ]


def _here(folder: Path) -> Data:
    return Data(folder, None, *histogram(folder))


def _on_devices(places: Sequence[Place], text: str, settings: Settings) -> tuple[list[Data], Path]:
    """Data that lies on the devices, of which the description alone comes here; and what stands here in its place."""
    folder = PurePosixPath(text)
    if not folder.is_absolute():
        raise UsageError(f"--data {_ON_DEVICE}{text}: give the folder's whole path on the device")
    found, descriptions = list[Data](), list[Description]()
    for place in places:
        if place.serial is None:
            raise UsageError(
                f"--data {_ON_DEVICE}{text} is on devices, {place.device} is this machine: give --data {text}"
            )
        path = seat_folder(settings.build, place.device) / "described"
        describe(place.serial, folder, path)
        found.append(Data(None, text, *histogram(path)))
        descriptions.append(read_description(path))
    _check_alike(descriptions, places)
    stand_in = settings.build / "fleet" / "stand-in"
    write_stand_in(path, stand_in)
    return found, stand_in


def _check_classes(description: Description) -> None:
    """What is parted, weighted and told of is samples of a class."""
    if not description.target.is_one_class:
        raise DatasetError(
            f"a fleet trains on samples of one class each, those of {description.name} are of "
            f"{description.target.text}: train on one device at a time, `invoke run`"
        )


def _check_alike(descriptions: Sequence[Description], places: Sequence[Place]) -> None:
    first = descriptions[0]
    for description, place in zip(descriptions, places, strict=True):
        if (description.sample, description.target, description.classes) != (first.sample, first.target, first.classes):
            raise DatasetError(
                f"the samples of {place.device} are {description.sample.text} of {description.target.text}, those of "
                f"{places[0].device} {first.sample.text} of {first.target.text}: one model takes one size and the same "
                "classes; give --classes, or convert them alike"
            )


def _check_samples(places: Sequence[Place], data: Sequence[Data], least: int) -> None:
    for place, own in zip(places, data, strict=True):
        if sum(own.train) < least:
            raise UsageError(
                f"{place.device} has {sum(own.train)} training samples, a step takes {least}: "
                "give a smaller --batch-size"
            )


def _push_all(seats: Sequence[Seat]) -> None:
    """Brings each package to its device, side by side."""

    def bring(seat: Seat) -> str:
        target = kind_of(seat.target, seat.serial).connect(Path(seat.package), seat.serial)
        sent = target.push(Path(seat.package), lambda done, total: None)
        return f"pushed {sent / 2**20:.1f} MiB to {seat.device}" if sent else ""

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for line in pool.map(bring, [seat for seat in seats if seat.serial]):
            if line:
                note(line)
