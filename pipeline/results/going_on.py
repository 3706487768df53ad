"""The training that `--resume` goes on with: on its target, or brought back there from a results folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from device_runtime.formats.checkpoint import read_checkpoint
from device_runtime.formats.errors import FormatError
from device_runtime.formats.manifest import FILE_NAME as MANIFEST
from device_runtime.formats.manifest import package_digest, read_manifest
from device_runtime.formats.metrics import FILE_NAME as METRICS
from device_runtime.formats.metrics import Record, diverged, ended, last_start, read_metrics
from device_runtime.formats.model import read_model
from device_runtime.formats.standing import Standing
from pipeline.errors import TargetError
from pipeline.progress import note
from pipeline.results.bring import held
from pipeline.results.records.results import results_folder_of, results_folders
from pipeline.settings import Settings
from pipeline.targets import Target

# Splits on whose images a training may find out which checkpoint is best.
STEERING = ("validation", "test")


def on_target(settings: Settings, target: Target) -> Sequence[Record]:
    """What the training recorded that goes on where it is: on the target; nothing where it has to be brought there.

    Raises:
      FormatError: its record is damaged.
      TargetError: it diverged.
    """
    records = held(target)
    start = last_start(records)
    if start is None:
        return ()
    if settings.resume:
        wanted = start["run"] == _start_of(_named(settings))["run"]
    else:
        # A training that diverged is brought away at once, and is still the one that is meant.
        wanted = records[-1]["event"] != "end" or target.unpulled()
    if wanted:
        _refuse_diverged(target.name, records)
    return records if wanted else ()


def to_bring_back(settings: Settings, package: Path) -> list[Path]:
    """Files of the results folder that is asked for, or of the newest unfinished one, with which its training goes on.

    Raises:
      UsageError: there is no such folder.
      TargetError: its training is over, diverged, or was started with another package.
    """
    folder = _named(settings) if settings.resume else _newest(settings)
    records, start = read_metrics(folder), _start_of(folder)
    _refuse_diverged(str(folder), records)
    if ended(records):
        raise TargetError(
            f"the training in {folder} ended in step {records[-1]['step']}: there is nothing to go on with"
        )
    if start["package"] != package_digest(read_manifest(package / MANIFEST)):
        raise TargetError(
            f"the training in {folder} was started with another model or other data than {package} has: "
            "package them as they were, with the options of then"
        )
    model = read_model(package / "model")
    saved = {
        record["step"]: folder / record["file"]
        for record in records
        if record["event"] == "checkpoint" and (folder / record["file"]).is_file()
    }
    for step, path in reversed(saved.items()):
        try:
            read_checkpoint(path, model)
        except FormatError as error:
            note(f"warning: {error}; going on from the one before")
            continue
        best = {Standing(split, records).best_of(saved) for split in STEERING} if start.get("best") else set()
        return [folder / METRICS, path, *(saved[other] for other in best - {None, step})]
    return [folder / METRICS]


def _refuse_diverged(where: str, records: Sequence[Record]) -> None:
    last = records[-1]
    if diverged(records):
        raise TargetError(f"the training on {where} diverged in step {last['step']}, and would again: {last['advice']}")


def _named(settings: Settings) -> Path:
    return results_folder_of(settings.runs, Path(str(settings.resume)))


def _newest(settings: Settings) -> Path:
    # A second one of the same time has a number behind its name.
    of_kind = re.compile(rf".*-{re.escape(settings.kind.name)}(-\d+)?")
    for folder in (folder for folder in results_folders(settings.runs) if of_kind.fullmatch(folder.name)):
        if not ended(read_metrics(folder)):
            return folder
    raise TargetError(
        f"there is no training to go on with, neither on {settings.kind.name} nor in {settings.runs}: "
        "start one without --resume"
    )


def _start_of(folder: Path) -> Record:
    start = last_start(read_metrics(folder))
    if start is None:
        raise FormatError(f"{folder / METRICS} says of no training that it began: it cannot go on")
    return start
