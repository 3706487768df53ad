"""The whole process, stage by stage; each step here is a task of its own too."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from device_runtime.formats.manifest import FILE_NAME as MANIFEST
from device_runtime.formats.manifest import package_digest, read_manifest
from device_runtime.formats.metrics import Record, ended, last_start, read_metrics
from device_runtime.formats.options import words
from pipeline.errors import TargetError
from pipeline.files import check_writable
from pipeline.packing.package import package_folder
from pipeline.prepare import check_run, make_package, prepare
from pipeline.progress import note, transfer
from pipeline.results.bring import folder_of, held, rescue, results_path, training_results
from pipeline.results.going_on import on_target, to_bring_back
from pipeline.results.interruption import explained
from pipeline.running.scripts import follow, live_options, logged, print_line, run_script
from pipeline.settings import Settings
from pipeline.targets import OnLine, Target

UNTRAINED_HEADING = "==Evaluating Untrained Model==="
TRAINING_HEADING = "========Training on Device====="
TRAINED_HEADING = "===Evaluating Trained Model====="


def run(settings: Settings) -> Path:
    """From the model's definition to the results of a training on the target; returns the folder with the results.

    Raises:
      PipelineError: any stage failed.
    """
    # First, because the stages may take minutes: a folder or a device that is missing is told at once.
    check_writable(settings.runs)
    package = package_folder(settings.build, settings.kind.name)
    target = free_target(settings, package)
    prepared = prepare(settings)
    check_run(prepared, settings)
    rescue(target, settings, package)
    make_package(prepared, settings)
    push(target, package)
    target.clear_output()
    final = results_path(settings, prepared.source.name, datetime.now())
    with training_results(target, settings, package, final) as results, logged(results) as say:
        for heading, script in ((UNTRAINED_HEADING, "eval_untrained.sh"), (TRAINING_HEADING, "train.sh")):
            say(heading)
            _run_explained(settings, package, target, script, options_of_script(script, settings), say)
        _evaluate(settings, package, target, say)
    print(f"results: {final}", flush=True)
    return final


def go_on(settings: Settings) -> Path:
    """From where a training was interrupted to its results; returns the folder with them.

    Raises:
      PipelineError: there is none, or it cannot go on.
    """
    package = existing_package(settings)
    target = connect(settings, package)
    records = _brought_back(settings, target, package)
    final = folder_of(settings, last_start(records) or {})
    with training_results(target, settings, package, final) as results, logged(results) as say:
        say(TRAINING_HEADING)
        if target.running():
            follow(target, say)
            records = on_target(settings, target)
        if not ended(records):
            _run_explained(settings, package, target, "train.sh", _resuming(settings, records), say)
        _evaluate(settings, package, target, say)
    print(f"results: {final}", flush=True)
    return final


def _brought_back(settings: Settings, target: Target, package: Path) -> Sequence[Record]:
    """What the training recorded that is to go on; it is on the target afterwards.

    Raises:
      TargetError: something else runs there.
    """
    records = on_target(settings, target)
    running = target.running()
    if records:
        if not running and (last_start(records) or {})["package"] == package_digest(read_manifest(package / MANIFEST)):
            # What of the package was damaged there.
            push(target, package)
        return records
    if running:
        raise TargetError(
            f"{target.name} runs a job that has recorded no step of a training yet: `invoke attach` shows it"
        )
    files = to_bring_back(settings, package)
    rescue(target, settings, package)
    push(target, package)
    target.clear_output()
    target.put(files)
    return read_metrics(files[0].parent)


def _resuming(settings: Settings, records: Sequence[Record]) -> list[str]:
    """Options of train.sh with which a training goes on; its own are in its record."""
    start = last_start(records) or {}
    # job.sh, which keeps a device awake, reads no records.
    awake = ["--stay-awake"] if start.get("while_charging") and not settings.runner.stay_awake else []
    return ["--resume", *awake, *options_of_script("train.sh", settings)]


def _evaluate(settings: Settings, package: Path, target: Target, say: OnLine) -> None:
    say(TRAINED_HEADING)
    _run_explained(settings, package, target, "eval.sh", options_of_script("eval.sh", settings), say)


def free_target(settings: Settings, package: Path) -> Target:
    """The target.

    Raises:
      TargetError: something runs on it.
    """
    target = connect(settings, package)
    if target.running():
        raise TargetError(f"{target.name} runs a job: `invoke attach` shows it, `invoke stop` ends it")
    return target


def push(target: Target, package: Path) -> None:
    """Brings the package to the target."""
    with transfer(f"push to {target.name}") as on_bytes:
        sent = target.push(package, on_bytes)
    if sent:
        print(f"pushed {sent / 2**20:.1f} MiB to {target.name}", file=sys.stderr, flush=True)


def connect(settings: Settings, package: Path) -> Target:
    """The target that the settings name."""
    return settings.kind.connect(package, settings.serial)


def options_of_script(script: str, settings: Settings) -> list[str]:
    """What the user chose of the runner's options, as a script of the package takes them."""
    return words(settings.runner, lambda _, option: script in option.scripts)


def _run_explained(
    settings: Settings, package: Path, target: Target, script: str, options: Sequence[str], say: OnLine
) -> None:
    with explained(settings, package, script):
        run_script(target, script, [*options, *live_options(script)], say)


def existing_package(settings: Settings) -> Path:
    """The package that an earlier `invoke package` or `invoke run` made.

    Raises:
      TargetError: there is none.
    """
    package = package_folder(settings.build, settings.kind.name)
    if not (package / MANIFEST).is_file():
        raise TargetError(f"{package} does not exist: run `invoke package {settings.named}` first")
    return package


def run_on_existing(settings: Settings, script: str) -> None:
    """Pushes the package that is there and runs one of its scripts, whose output goes to stdout."""
    checkpoint = settings.checkpoint
    start = ["-f", settings.kind.checkpoint(checkpoint)] if checkpoint else []
    package = existing_package(settings)
    trains = script == "train.sh"
    target = free_target(settings, package) if trains else connect(settings, package)
    if trains:
        rescue(target, settings, package)
    push(target, package)
    if trains and not checkpoint:
        target.clear_output()
    options = [*start, *options_of_script(script, settings)]
    _run_explained(settings, package, target, script, options, print_line)
    if trains:
        _say_where_results_are(settings, target)


def train_on(settings: Settings) -> None:
    """Goes on with an interrupted training, to its end; its output goes to stdout.

    Raises:
      PipelineError: there is none, or it cannot go on.
    """
    package = existing_package(settings)
    target = connect(settings, package)
    records = _brought_back(settings, target, package)
    _run_explained(settings, package, target, "train.sh", _resuming(settings, records), print_line)
    _say_where_results_are(settings, target)


def _say_where_results_are(settings: Settings, target: Target) -> None:
    note(f"`invoke pull {settings.named}` brings the results from {target.name} to {settings.runs}")


def pull_results(settings: Settings) -> Path:
    """Pulls what the last training left on the target into a results folder; returns the folder.

    Raises:
      TargetError: it holds none.
    """
    package = existing_package(settings)
    target = connect(settings, package)
    start = last_start(held(target))
    if start is None:
        raise TargetError(f"{target.name} holds no results: run `invoke train {settings.named}` first")
    final = folder_of(settings, start)
    with training_results(target, settings, package, final):
        pass
    return final
