"""Results of a training from its target into a folder here, before anything of them can be lost."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from device_runtime.formats.answers import probability_of
from device_runtime.formats.errors import FormatError
from device_runtime.formats.manifest import FILE_NAME as MANIFEST
from device_runtime.formats.manifest import package_digest, read_manifest
from device_runtime.formats.metrics import FILE_NAME as METRICS
from device_runtime.formats.metrics import Record, diverged, last_start, read_metrics, trained_file
from device_runtime.formats.model import Model, read_model
from device_runtime.formats.paths import check_name
from pipeline.datasets.columns.encoding import FILE_NAME as COLUMNS
from pipeline.datasets.columns.encoding import read_encoding
from pipeline.datasets.photographs.preparation import FILE_NAME as PREPARATION
from pipeline.datasets.photographs.preparation import read_preparation
from pipeline.errors import PipelineError, RunFailed, TargetError
from pipeline.files import new_folder, remove_leftovers
from pipeline.lowering.inference import write_inference_model, write_state_dict
from pipeline.machine.facts import write_facts
from pipeline.progress import note
from pipeline.results.pages.report import write_report
from pipeline.results.records.about import describe, write_about
from pipeline.results.tensorboard import FOLDER as TENSORBOARD
from pipeline.results.tensorboard import write_tensorboard
from pipeline.results.trained import TRAINED, metadata_of
from pipeline.settings import Settings
from pipeline.targets import Target


def results_path(settings: Settings, model_name: str, began: datetime) -> Path:
    """runs/<time>-<model>-<target>/, a name that nothing has yet."""
    return unused(settings.runs, f"{began:%Y%m%d-%H%M%S}-{model_name}-{settings.kind.name}")


def unused(runs: Path, name: str) -> Path:
    """A folder of that name in `runs`, with a number behind it where there is one."""
    folder, count = runs / name, 1
    while folder.exists():
        count += 1
        folder = runs / f"{name}-{count}"
    return folder


def folder_of(settings: Settings, start: Record) -> Path:
    """The results folder of a training that began so: the one that it has, or a new one by the time when it began.

    Raises:
      FormatError: its model has no plain name.
    """
    begun = f'"run": "{start["run"]}"'
    # Not among what a killed process left half-written.
    for metrics in sorted(settings.runs.glob(f"[!.]*/{METRICS}")):
        with metrics.open(errors="replace") as lines:
            if any(begun in line for line in lines if line.startswith('{"event": "start"')):
                return metrics.parent
    try:
        check_name(start["model"])
        return results_path(settings, start["model"], datetime.fromtimestamp(start["time"]))
    except (ValueError, OverflowError, OSError) as error:
        raise FormatError(f"the training says of itself what cannot be: {error}") from error


@contextmanager
def results_folder(target: Target, final: Path) -> Iterator[Path]:
    """A folder that takes the place of `final`, with what that holds already; the target then knows that it is pulled.

    Raises:
      PipelineError: the parent cannot be written to or the disk is full.
    """
    remove_leftovers(final.parent)
    with new_folder(final) as results:
        if final.is_dir():
            shutil.copytree(final, results, dirs_exist_ok=True)
        write_facts(results, target.facts())
        yield results
        size_bytes = (results / METRICS).stat().st_size
    target.mark_pulled(size_bytes)


@contextmanager
def training_results(target: Target, settings: Settings, package: Path, final: Path) -> Iterator[Path]:
    """As `results_folder`, around a training: when it ends well what the target has is pulled, and the rest made of it.

    So it is where the training diverged: what it recorded tells how.

    Raises:
      RunFailed: of the block.
      TargetError: it cannot be pulled, or there is no trained checkpoint.
    """
    failed: RunFailed | None = None
    with results_folder(target, final) as results:
        try:
            yield results
        except RunFailed as error:
            if not diverged(held(target)):
                raise
            failed = error
        target.pull(results)
        collect(settings, package, results)
    if failed:
        note(f"what it recorded until then is in {final}")
        raise failed


def held(target: Target) -> list[dict[str, Any]]:
    """What the training recorded whose results the target holds; nothing where it holds none.

    Raises:
      FormatError: its record is damaged.
    """
    with tempfile.TemporaryDirectory() as folder:
        target.pull(Path(folder), METRICS)
        return read_metrics(Path(folder))


def rescue(target: Target, settings: Settings, package: Path) -> None:
    """Pulls a training that the target still holds and nobody has pulled, and says so: the next one takes its place.

    Args:
      target: where it may be.
      settings: where results go.
      package: folder of the package that it was made with, as far as it is still that one.

    Raises:
      TargetError: it cannot be pulled.
    """
    if not target.unpulled():
        return
    try:
        records = held(target)
        start = last_start(records)
        if start is None or not any(record["event"] == "step" for record in records):
            return
        final = folder_of(settings, start)
    except FormatError:
        final = results_path(settings, "damaged", datetime.now())
    with results_folder(target, final) as results:
        target.pull(results)
        try:
            collect(settings, package, results)
        except (PipelineError, FormatError) as error:
            note(f"{final} has what {target.name} wrote alone: {error}")
    note(f"{target.name} still held a training that was not pulled: its results are in {final}")


def collect(settings: Settings, package: Path, results: Path) -> None:
    """Adds what the host makes of pulled results: report, TensorBoard's, manifest, inference model, state dict.

    Raises:
      TargetError: the package is another one by now, or a training that ended well left no checkpoint.
      FormatError: what was pulled is damaged.
    """
    records = read_metrics(results)
    start = last_start(records)
    manifest = read_manifest(package / MANIFEST) if (package / MANIFEST).is_file() else None
    # Curves that are there already would end where the training was interrupted.
    if settings.tensorboard or (results / TENSORBOARD).is_dir():
        write_tensorboard(results)
    if manifest is None or start is None or start["package"] != package_digest(manifest):
        write_report(results)
        raise TargetError(f"{package} is not the package that it was trained with, from which the rest would be made")
    dataset = package / "dataset"
    shutil.copy(package / MANIFEST, results)
    about = describe(package, settings.build / manifest.model)
    write_about(results, about)
    write_report(results, dataset)
    # Not the one of the most steps: an earlier, longer training may have left its own there.
    trained = trained_file(records)
    if not trained or not (results / trained).is_file():
        if records[-1]["event"] != "end":
            note("no checkpoint was saved before the training ended: there is no trained model among its results")
            return
        raise TargetError("what was pulled holds no trained checkpoint: run `invoke train` first")
    name = manifest.model
    made_of = (settings.build / name / "export", package / "model", results / trained)
    says = said_of(about.classes, dataset, read_model(package / "model"))
    write_inference_model(*made_of, results / f"{name}{TRAINED}", says)
    write_state_dict(*made_of, results / f"{name}_state_dict.safetensors")


def said_of(classes: Sequence[str], dataset: Path, model: Model) -> dict[str, str]:
    """What a trained model says of itself.

    Raises:
      FormatError: what the dataset says of its samples is damaged.
    """
    # Arrays have no preparation, and tables alone have columns.
    preparation = read_preparation(dataset) if (dataset / PREPARATION).is_file() else None
    columns = read_encoding(dataset) if (dataset / COLUMNS).is_file() else None
    return metadata_of(classes, preparation, probability_of(model.loss, model.target), columns)
