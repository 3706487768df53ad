"""A results folder as one record, and where results folders are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from device_runtime.formats.errors import FormatError
from device_runtime.formats.manifest import FILE_NAME as MANIFEST
from device_runtime.formats.manifest import Manifest, read_manifest
from device_runtime.formats.metrics import FILE_NAME as METRICS
from device_runtime.formats.predictions import Heading, Predictions, predictions_name, read_predictions
from pipeline.errors import UsageError
from pipeline.machine.facts import MachineFacts, read_facts
from pipeline.results.records.about import About, read_about
from pipeline.results.records.training import Training, read_training


@dataclass(frozen=True)
class Predicted:
    """What the model says of the images of a split."""

    split: str
    classes: int
    predictions: Predictions


@dataclass(frozen=True)
class Results:
    """What a results folder holds; None or empty for what results of an older version lack.

    Attributes:
      target: where it was trained, `x86`.
      versions: of everything in the package, by name.
      data_digest: tells datasets apart.
      unpredicted: why there are no predictions.
    """

    folder: Path
    training: Training
    about: About | None
    machine: MachineFacts | None
    target: str
    versions: Mapping[str, str]
    data_digest: str
    predicted: Predicted | None
    unpredicted: str


def read_results(folder: Path) -> Results:
    """Reads a results folder.

    Raises:
      FormatError: a file of it is damaged; a file of predictions that is so is as good as none.
    """
    training = read_training(folder)
    manifest = _manifest(folder / MANIFEST)
    try:
        predicted, why = _predicted(folder, training)
    except FormatError as error:
        predicted, why = None, str(error)
    return Results(
        folder=folder,
        training=training,
        about=read_about(folder),
        machine=read_facts(folder),
        target=manifest.target if manifest else "",
        versions={name: found.version for name, found in manifest.versions.items()} if manifest else {},
        data_digest=_data_digest(manifest) if manifest else "",
        predicted=predicted,
        unpredicted=why,
    )


def results_folders(runs: Path) -> list[Path]:
    """The results folders in `runs`, the newest first; not what a killed process left half-written."""
    return sorted((path.parent for path in runs.glob(f"[!.]*/{METRICS}")), key=lambda path: path.name, reverse=True)


def results_folder_of(runs: Path, given: Path) -> Path:
    """The results folder that is meant by a path, or by its name in `runs`.

    Raises:
      UsageError: there is none.
    """
    # Where an absolute path is given, both are the same.
    places = list(dict.fromkeys((given, runs / given)))
    for folder in places:
        if (folder / METRICS).is_file():
            return folder
    meant = f"neither that nor {places[1]} is" if len(places) > 1 else "that is not"
    raise UsageError(f"{given}: {meant} a folder with a {METRICS}: `invoke runs` lists those that there are")


def _predicted(folder: Path, training: Training) -> tuple[Predicted | None, str]:
    path = folder / predictions_name(training.evaluated_step)
    if not path.is_file():
        missing = f"there is no {path.name}: the training did not come to its end, is of an older version, or learns"
        return None, f"{missing} something else than one class for each sample"
    heading, predictions = read_predictions(path)
    if heading.run != training.run:
        raise FormatError(f"{path} is of another training: pull again")
    return _usable(heading, predictions)


def _usable(heading: Heading, predictions: Predictions) -> tuple[Predicted | None, str]:
    if not heading.images:
        return None, "no image was evaluated"
    return Predicted(heading.split, heading.classes, predictions), ""


def _manifest(path: Path) -> Manifest | None:
    if not path.is_file():
        return None
    try:
        return read_manifest(path)
    except FormatError as error:
        # What else to do with it is said of a package's.
        raise FormatError(f"{path} is damaged: remove it, or pull again") from error


def _data_digest(manifest: Manifest) -> str:
    """Of everything in the package's dataset, in twelve hexadecimal digits."""
    files = sorted((file.path, file.sha256) for file in manifest.files if file.path.startswith("dataset/"))
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()[:12]
