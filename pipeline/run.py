"""The whole process, stage by stage; each step here is a task of its own too."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from device_runtime.formats.dataset import read_description
from device_runtime.formats.manifest import FILE_NAME as MANIFEST
from device_runtime.formats.manifest import read_manifest
from device_runtime.formats.metrics import read_metrics
from device_runtime.formats.options import words
from pipeline.errors import RunFailed, TargetError
from pipeline.files import check_writable, new_folder
from pipeline.lowering.inference import write_inference_model, write_state_dict
from pipeline.packing.package import package_folder
from pipeline.prepare import check_run, make_package, prepare
from pipeline.progress import transfer
from pipeline.results.interruption import explained
from pipeline.results.report import write_report
from pipeline.settings import Settings
from pipeline.targets import Target, kind_of

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
    connect(settings, package_folder(settings.build, settings.target))
    prepared = prepare(settings)
    check_run(prepared, settings)
    package = make_package(prepared, settings)
    target = push(settings, package)
    target.clear_output()
    final = results_path(settings, prepared.source.name)
    with new_folder(final) as results, (results / "log").open("w", buffering=1) as log:
        say = _to_both(log.write)
        for heading, script in (
            (UNTRAINED_HEADING, "eval_untrained.sh"),
            (TRAINING_HEADING, "train.sh"),
            (TRAINED_HEADING, "eval.sh"),
        ):
            say(heading)
            with explained(settings, package, script):
                run_script(target, script, options_of_script(script, settings), say)
        target.pull(results)
        collect(settings.build, package, results)
    print(f"results: {final}", flush=True)
    return final


def push(settings: Settings, package: Path) -> Target:
    """Brings the package to the target and returns the target."""
    target = connect(settings, package)
    with transfer(f"push to {target.name}") as on_bytes:
        sent = target.push(package, on_bytes)
    if sent:
        print(f"pushed {sent / 2**20:.1f} MiB to {target.name}", file=sys.stderr, flush=True)
    return target


def connect(settings: Settings, package: Path) -> Target:
    """The target that the settings name."""
    return kind_of(settings.target).connect(package, settings.serial)


def options_of_script(script: str, settings: Settings) -> list[str]:
    """What the user chose of the runner's options, as a script of the package takes them."""
    return words(settings.runner, lambda _, option: script in option.scripts)


def run_script(target: Target, script: str, options: Sequence[str], say: Callable[[str], None]) -> None:
    """Runs a script of the package on the target.

    Raises:
      RunFailed: it ended with another exit code than 0; the message carries why: what it called an error, which is not
        said before, or else its last line.
    """
    errors: list[str] = []
    last = "no output"

    def on_line(line: str) -> None:
        nonlocal last
        if line.startswith("error: "):
            errors.append(line.removeprefix("error: "))
        else:
            last = line
            say(line)

    code = target.run(script, options, on_line)
    if code != 0:
        ending = ": " + "; ".join(errors) if errors else f" ended with exit code {code}: {last}"
        raise RunFailed(f"{script} on {target.name}{ending}")


def existing_package(settings: Settings) -> Path:
    """The package that an earlier `invoke package` or `invoke run` made.

    Raises:
      TargetError: there is none.
    """
    package = package_folder(settings.build, settings.target)
    if not (package / MANIFEST).is_file():
        raise TargetError(f"{package} does not exist: run `invoke package --target {settings.target}` first")
    return package


def results_path(settings: Settings, model_name: str) -> Path:
    """runs/<time>-<model>-<target>/, a name that nothing has yet."""
    name = f"{datetime.now():%Y%m%d-%H%M%S}-{model_name}-{settings.target}"
    folder, count = settings.runs / name, 1
    while folder.exists():
        count += 1
        folder = settings.runs / f"{name}-{count}"
    return folder


def collect(build: Path, package: Path, results: Path) -> None:
    """Adds what the host makes of pulled results: manifest, inference model, state dict, report.

    Raises:
      TargetError: there is no trained checkpoint among them.
    """
    name = read_manifest(package / MANIFEST).model
    shutil.copy(package / MANIFEST, results)
    # Not the one of the most steps: an earlier, longer training may have left its own there.
    saved = [results / record["file"] for record in read_metrics(results) if record["event"] == "checkpoint"]
    if not saved or not saved[-1].is_file():
        raise TargetError("what was pulled holds no trained checkpoint: run `invoke train` first")
    made_of = (build / name / "export", package / "model", saved[-1])
    classes = read_description(package / "dataset").classes
    write_inference_model(*made_of, results / f"{name}_trained.onnx", classes)
    write_state_dict(*made_of, results / f"{name}_state_dict.safetensors")
    write_report(results, package / "dataset")


def _to_both(write: Callable[[str], object]) -> Callable[[str], None]:
    def say(line: str) -> None:
        print(line, flush=True)
        write(line + "\n")

    return say


def run_on_existing(settings: Settings, script: str) -> None:
    """Pushes the package that is there and runs one of its scripts, whose output goes to stdout."""
    checkpoint = settings.checkpoint
    start = ["-f", kind_of(settings.target).checkpoint(checkpoint)] if checkpoint else []
    package = existing_package(settings)
    target = push(settings, package)
    with explained(settings, package, script):
        options = [*start, *options_of_script(script, settings)]
        run_script(target, script, options, lambda line: print(line, flush=True))


def pull_results(settings: Settings) -> Path:
    """Pulls what the last training left on the target into a new results folder; returns the folder."""
    package = existing_package(settings)
    final = results_path(settings, read_manifest(package / MANIFEST).model)
    with new_folder(final) as results:
        connect(settings, package).pull(results)
        collect(settings.build, package, results)
    return final
