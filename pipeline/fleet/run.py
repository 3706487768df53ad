"""A federated training from its options to its results, and on from where one was interrupted."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device_runtime.formats.checkpoint import Checkpoint, read_checkpoint, untrained_name, write_checkpoint
from device_runtime.formats.dataset import read_description
from device_runtime.formats.model import Model, read_model
from pipeline.commands import Process, beside
from pipeline.errors import TargetError, UsageError
from pipeline.files import check_writable, new_file
from pipeline.fleet.device import CONDITIONS, TRAINING, Arrays, Device, Evaluated
from pipeline.fleet.flower import Link, check_answers, given_link, last_line, make_quiet, own_link, read_key, served
from pipeline.fleet.node import REFUSED
from pipeline.fleet.records import FILE_NAME, append, of, read, rounds
from pipeline.fleet.report import write_report
from pipeline.fleet.roll import SILENT, Node, Roll
from pipeline.fleet.rounds import Outcome, Rounds, Update
from pipeline.fleet.seat import FILE_NAME as SEAT
from pipeline.fleet.seat import Seat, seat_folder
from pipeline.fleet.seats import Fleet, plain_name, prepare_fleet, seat_here
from pipeline.fleet.strategies import make_strategy, read_state, write_state
from pipeline.fleet.table import Table, shown
from pipeline.lowering.inference import write_inference_model, write_state_dict
from pipeline.progress import note
from pipeline.results.bring import said_of, unused
from pipeline.results.trained import TRAINED
from pipeline.settings import Settings

if TYPE_CHECKING:
    from flwr.serverapp.strategy import Strategy
    from flwr.superlink.grid.http_grid import HttpGrid

# What a fleet was asked for, in its results: options by name, as they are typed.
ASKED = "asked.json"

# What a node prints, beside its seat.json.
LOG = "node.log"

_NODE_STARTS_IN_S = 60.0


def begin(settings: Settings, asked: Mapping[str, str]) -> Path:
    """Trains a fleet; returns the results folder.

    Args:
      settings: what the user asks for.
      asked: the same as typed options, with which `go_on` begins.

    Raises:
      PipelineError: it cannot be done.
    """
    make_quiet(settings.build / "fleet")
    check_writable(settings.runs)
    if settings.fleet.superlink:
        check_answers(_given_link(settings))
    strategy = _strategy(settings)
    fleet = prepare_fleet(settings)
    _check_privacy(settings, fleet)
    results = unused(settings.runs, f"{datetime.now():%Y%m%d-%H%M%S}-fleet-{fleet.prepared.source.name}")
    results.mkdir(parents=True)
    with new_file(results / ASKED) as temporary:
        temporary.write_text(json.dumps(dict(asked), indent=1) + "\n")
    model = _model_of(fleet)
    append(results, "start", **_start(settings, fleet, model, results))
    _Training(settings, fleet, strategy, results).run()
    return results


def go_on(settings: Settings, results: Path) -> None:
    """Goes on with a fleet after its last whole round.

    Args:
      settings: what it was asked for.
      results: its results folder.

    Raises:
      PipelineError, FormatError: it has ended, or it cannot go on.
    """
    make_quiet(settings.build / "fleet")
    records = read(results)
    if of(records, "end"):
        raise UsageError(f"{results} came to its end: there is nothing to go on with")
    strategy = _strategy(settings)
    fleet = prepare_fleet(settings)
    if of(records, "start")[0]["digest"] != fleet.digest:
        raise UsageError(f"{results} was trained with another model than these options give now: begin anew")
    done = rounds(records)
    last = int(done[-1]["round"]) if done else 0
    _keep(results, records, last)
    append(results, "resume", round=last)
    if last:
        read_state(strategy, _state_path(results, last))
    _Training(settings, fleet, strategy, results).run()


class _Training:
    """The rounds of a fleet, with what they write into the results folder."""

    def __init__(self, settings: Settings, fleet: Fleet, strategy: Strategy, results: Path) -> None:
        self._settings = settings
        self._asked = settings.fleet
        self._fleet = fleet
        self._strategy = strategy
        self._results = results
        self._model = _model_of(fleet)
        self._seats = {seat.device: seat for seat in fleet.seats}
        records = read(results)
        self._began = min(time.time(), float(records[0]["time"]))
        self._known = {str(record["device"]) for record in of(records, "device")}
        self._evaluated = {int(record["round"]) for record in of(records, "global")}
        self._done = len(rounds(records))
        self._here = None if fleet.whole is None else Device(seat_here(fleet, settings))

    def run(self) -> None:
        """Trains the rounds that are left, evaluates, and writes the report."""
        settings = self._settings
        home = settings.build / "fleet"
        with ExitStack() as ending:
            here = ending.enter_context(self._evaluating())
            link = ending.enter_context(_link(settings, home))
            own = ending.enter_context(nodes(link, self._fleet.seats, settings))
            grid = ending.enter_context(served(link))
            table = ending.enter_context(shown(self._asked.rounds))
            self._rounds(grid, own, table, here)
        if self._asked.centralised:
            self._centralised()
        self._write_models()
        seconds = round(time.time() - self._began, 3)
        accuracies = [record["accuracy"] for record in of(read(self._results), "global")]
        append(self._results, "end", rounds=self._asked.rounds, seconds=seconds, accuracy=(accuracies or [None])[-1])
        write_report(self._results)
        print(f"results: {self._results}", flush=True)

    def _rounds(self, grid: HttpGrid, own: Nodes, table: Table, evaluate: Callable[[int, Arrays], None]) -> None:
        asked, settings = self._asked, self._settings
        running = Rounds(grid, self._strategy, self._model.digest, asked.round_timeout)
        roll = Roll(grid, self._model.digest, _given(settings, CONDITIONS), settings.seed)
        arrays = self._arrays(self._done)
        starting = list(self._seats)
        for number in range(self._done + 1, asked.rounds + 1):
            starting += own.revive()
            drawn = roll.draw(
                number, asked.fraction, asked.min_devices, starting, _NODE_STARTS_IN_S, table.waits, own.revive
            )
            starting.clear()
            # Not before: it would take the time of those that are asked.
            evaluate(number - 1, arrays)
            self._note_devices(roll.known)
            began = time.perf_counter()
            table.begin(number, drawn.chosen)
            config = self._config(number)
            outcome = running.train(number, arrays, drawn.chosen, config, self._dtype, table.answer)
            outcome.missing |= {node.device: node.unready for node in drawn.unready}
            outcome.missing |= dict.fromkeys(self._seats.keys() - {node.device for node in roll.known}, SILENT)
            arrays = outcome.arrays or arrays
            self._write_round(number, arrays, outcome, time.perf_counter() - began, drawn.seconds)
            table.end(number, outcome)
            roll.hear([update.device for update in outcome.updates])
        roll.hear([])
        there = roll.draw(asked.rounds + 1, 1.0, 0, starting, _NODE_STARTS_IN_S, table.waits)
        evaluate(asked.rounds, arrays)
        self._last(running, there.chosen, arrays)

    @property
    def _dtype(self) -> str:
        return self._asked.compress or "float32"

    def _config(self, number: int) -> dict[str, Any]:
        """What devices are told of their training; another order of the images in each round."""
        settings = self._settings
        seed = settings.seed * 1_000_003 + number
        return {**_given(settings, TRAINING), "epochs": self._asked.local_epochs, "seed": seed % 2**63}

    def _note_devices(self, found: Sequence[Node]) -> None:
        for node in found:
            if node.device in self._known or not node.told or "name" not in node.told:
                continue
            told = node.told
            self._known.add(node.device)
            append(
                self._results,
                "device",
                device=node.device,
                kind=told["kind"],
                name=told["name"],
                cores=told.get("cores"),
                memory_bytes=told.get("memory_bytes"),
                train=list(told["train"]),
                test=list(told["test"]),
            )

    def _write_round(self, number: int, arrays: Arrays, outcome: Outcome, seconds: float, asking: float) -> None:
        """Records a round; it is whole when its record is there, for what that names is on disk before."""
        file = self._path(number)
        write_checkpoint(file, Checkpoint(0, arrays.parameters, arrays.buffers, {}), self._model)
        write_state(self._strategy, _state_path(self._results, number))
        for update in outcome.updates:
            append(self._results, "update", round=number, device=update.device, **_numbers(update))
        for device, why in outcome.missing.items():
            append(self._results, "missing", round=number, device=device, why=why)
        busy = [_busy_seconds(update) for update in outcome.updates]
        append(
            self._results,
            "round",
            round=number,
            devices=len(outcome.updates),
            loss=outcome.loss,
            seconds=round(seconds, 3),
            own_seconds=round(seconds - max(busy, default=0.0), 3),
            asking_seconds=round(asking, 3),
            file=file.name,
        )
        _state_path(self._results, number - 1).unlink(missing_ok=True)

    def _last(self, running: Rounds, ready: Sequence[Node], arrays: Arrays) -> None:
        """Each device's own accuracy of the last model, and after steps of its own."""
        steps = self._asked.personalise or 0
        config: dict[str, Any] = {}
        if steps:
            config = {**self._config(self._asked.rounds + 1), "cycles": steps}
            del config["epochs"]
        updates, missing = running.evaluate(arrays, ready, config, lambda device, answer: None)
        for update in updates:
            metrics = update.metrics
            append(
                self._results,
                "evaluation",
                device=update.device,
                accuracy=metrics["accuracy"],
                loss=metrics["loss"],
                personalised_accuracy=metrics.get("personalised-accuracy"),
                steps=steps,
            )
        for device, why in missing.items():
            note(f"{device} did not evaluate the last model: {why}")

    @contextmanager
    def _evaluating(self) -> Iterator[Callable[[int, Arrays], None]]:
        """What evaluates global models on all test images of this machine, while the fleet goes on."""
        device = self._here
        if device is None:
            yield lambda number, arrays: None
            return
        waiting: list[tuple[int, Future[Evaluated]]] = []

        def record(all_of_them: bool) -> None:
            while waiting and (all_of_them or waiting[0][1].done()):
                number, future = waiting.pop(0)
                found = future.result()
                append(self._results, "global", round=number, accuracy=found.accuracy, test_loss=found.loss)
                print(
                    f"after round {number}: accuracy {found.accuracy:.4g}, loss {found.loss:.4g} on all test samples",
                    flush=True,
                )

        with ThreadPoolExecutor(1) as pool:

            def evaluate(number: int, arrays: Arrays) -> None:
                record(all_of_them=False)
                if number not in self._evaluated:
                    waiting.append((number, pool.submit(device.evaluate, arrays)))

            yield evaluate
            record(all_of_them=True)

    def _arrays(self, number: int) -> Arrays:
        """The global model after a round; 0: before the first."""
        path = self._path(number) if number else self._fleet.model / untrained_name(self._model)
        found = read_checkpoint(path, self._model)
        return Arrays(found.parameters, found.buffers)

    def _path(self, number: int) -> Path:
        return self._results / f"{self._model.name}_round_{number}.safetensors"

    def _write_models(self) -> None:
        """The trained model, as a run's results have it."""
        prepared = self._fleet.prepared
        made_of = (prepared.export, self._fleet.model, self._path(self._asked.rounds))
        says = said_of(_classes(self._fleet), prepared.dataset, self._model)
        write_inference_model(*made_of, self._results / f"{self._model.name}{TRAINED}", says)
        write_state_dict(*made_of, self._results / f"{self._model.name}_state_dict.safetensors")

    def _centralised(self) -> None:
        """The same length of training on all images in one place."""
        if self._here is None:
            note("--centralised: the samples are not in one place: left out")
            return
        given = {**_given(self._settings, TRAINING), "epochs": self._asked.rounds * self._asked.local_epochs}
        trained = self._here.train(self._arrays(0), {**given, "seed": self._settings.seed}, "float32")
        result = trained.result
        append(
            self._results,
            "centralised",
            accuracy=result.accuracy,
            loss=result.test_loss,
            steps=result.steps,
            seconds=round(trained.cost.train_seconds, 3),
        )
        print(f"centralised: accuracy {result.accuracy:.4g}, loss {result.test_loss:.4g}", flush=True)


@contextmanager
def _link(settings: Settings, home: Path) -> Iterator[Link]:
    asked = settings.fleet
    if asked.superlink is None:
        with own_link(home) as link:
            yield link
    else:
        yield _given_link(settings)


def _given_link(settings: Settings) -> Link:
    asked = settings.fleet
    return given_link(str(asked.superlink), asked.root_certificates, asked.superexec_auth_secret_file)


class Nodes:
    """A SuperNode for each device of this machine; those that end are started again."""

    def __init__(self, link: Link, seats: Sequence[Seat], settings: Settings, ending: ExitStack) -> None:
        key = settings.fleet.auth_supernode_private_key
        self._words = ["--superlink", link.address]
        self._words += ["--root-certificates", str(link.certificates)] if link.certificates else []
        # A key is one node's: each device has a file of its own.
        self._keys = {seat.device: str(key).replace("{serial}", plain_name(seat)) for seat in seats if key}
        for path in self._keys.values():
            # A node that cannot read its key would end each time that it is started.
            read_key(Path(path))
        self._folders = {seat.device: seat_folder(settings.build, seat.device) for seat in seats}
        self._ending = ending
        self._address = link.address
        self._revived = set[str]()
        self.running = {device: self._start(device) for device in self._folders}

    def revive(self) -> list[str]:
        """Starts those again that ended; returns their devices.

        Raises:
          TargetError: the SuperLink did not take one from the beginning.
        """
        started = list[str]()
        for device, process in list(self.running.items()):
            code = process.poll()
            if code is not None:
                log = self._folders[device] / LOG
                # Of one that was killed the SuperLink knows for a while only that it is there already.
                if code == REFUSED and device not in self._revived:
                    raise TargetError(self._refusal(device, log))
                self._revived.add(device)
                note(f"the node of {device} ended and is started again: {last_line(log)} ({log})")
                self.running[device] = self._start(device)
                started.append(device)
        return started

    def _refusal(self, device: str, log: Path) -> str:
        if device not in self._keys:
            advice = "where it asks nodes for keys, give --auth-supernode-private-key"
        else:
            advice = f"has it {self._keys[device]}.pub (`flwr supernode register`), and has no other node that key?"
        return f"the SuperLink at {self._address} does not take the node of {device}: {advice} ({log} has the rest)"

    def _start(self, device: str) -> Process:
        folder = self._folders[device]
        command = [sys.executable, "-m", "pipeline.fleet.node", *self._words, "--seat", str(folder / SEAT)]
        command += ["--key", self._keys[device]] if device in self._keys else []
        # The checkout's own modules, where the command runs in another folder.
        paths = [str(Path(__file__).parent.parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        return self._ending.enter_context(beside(command, folder / LOG, env=env))


@contextmanager
def nodes(link: Link, seats: Sequence[Seat], settings: Settings) -> Iterator[Nodes]:
    """The nodes of this machine's devices, which end with the block."""
    with ExitStack() as ending:
        yield Nodes(link, seats, settings, ending)


def _strategy(settings: Settings) -> Strategy:
    """What makes one model of the updates.

    Raises:
      UsageError: an option of it cannot be meant.
    """
    from pipeline.fleet.privacy import wrapped

    asked = settings.fleet
    strategy = make_strategy(asked.strategy)
    return wrapped(strategy, asked.dp, asked.compress) if asked.dp else strategy


def _check_privacy(settings: Settings, fleet: Fleet) -> None:
    """Says how much a device hides, where it is to.

    Raises:
      UsageError: the model does not bear the noise.
    """
    from pipeline.fleet.privacy import check_buffers

    dp = settings.fleet.dp
    if dp:
        check_buffers(dp, _model_of(fleet).buffers_size)
        note(dp.told(settings.fleet.rounds))


def _given(settings: Settings, names: Sequence[str]) -> dict[str, Any]:
    """Those of the runner's options that the user chose, as they travel in a message."""
    runner = settings.runner
    found = {name: getattr(runner, name, None) for name in names}
    said = {name: value for name, value in found.items() if value is not None and value is not False}
    return {name: ",".join(value) or "none" if isinstance(value, tuple) else value for name, value in said.items()}


def _model_of(fleet: Fleet) -> Model:
    return read_model(fleet.model)


def _start(settings: Settings, fleet: Fleet, model: Model, results: Path) -> dict[str, Any]:
    asked = settings.fleet
    numbers = sum(tensor.size for tensor in (*model.parameters, *model.buffers))
    return {
        "run": results.name,
        "time": int(time.time()),
        "model": model.name,
        "digest": model.digest,
        "strategy": str(asked.strategy),
        "rounds": asked.rounds,
        "local_epochs": asked.local_epochs,
        "partition": str(asked.partition or "iid") if fleet.whole and fleet.seats else None,
        "fraction": asked.fraction,
        "compress": asked.compress,
        "seed": settings.seed,
        "parameters": sum(tensor.size for tensor in model.parameters),
        "array_bytes": numbers * (2 if asked.compress else 4),
        "classes": list(_classes(fleet)),
    }


def _classes(fleet: Fleet) -> tuple[str, ...]:
    return read_description(fleet.prepared.dataset).classes


def _state_path(results: Path, number: int) -> Path:
    return results / f"strategy_{number}.safetensors"


def _keep(results: Path, records: Sequence[Mapping[str, Any]], last: int) -> None:
    """Removes what was recorded of a round that did not come to its end."""
    kept = [record for record in records if record["event"] in ("start", "device", "resume") or _is_of(record, last)]
    with new_file(results / FILE_NAME) as temporary:
        temporary.write_text("".join(json.dumps(record) + "\n" for record in kept))


def _is_of(record: Mapping[str, Any], last: int) -> bool:
    return record["event"] in ("update", "missing", "round", "global") and int(record["round"]) <= last


def _numbers(update: Update) -> dict[str, Any]:
    """An update's metrics as they are recorded."""
    metrics = {name.replace("-", "_"): value for name, value in update.metrics.items()}
    metrics["images"] = metrics.pop("num_examples")
    return {n: round(value, 6) if n.endswith("_seconds") else value for n, value in metrics.items()}


def _busy_seconds(update: Update) -> float:
    return float(sum(update.metrics[f"{name}-seconds"] for name in ("push", "train", "pull")))
