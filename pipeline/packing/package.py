"""The package stage: runtime, model, dataset, runner and scripts → build/package-<target>/ with manifest.json.

Of a trained model the package needs runtime and runner alone: build/inference-<target>/.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from device_runtime.formats.manifest import CACHE, OUTPUT, Manifest, describe, write_manifest
from pipeline.files import new_folder, sha256_of
from pipeline.packing.runner import python_runner
from pipeline.packing.runtime import read_versions
from pipeline.stages import STAMP, build_once, key_of, program_digest

Runner = Mapping[str, Path]
CopyFile = Callable[[str, str], object]

# Of a device of a fleet.
_FLEET_SCRIPTS = ("run.sh", "train.sh", "eval.sh", "ready.sh", "job.sh")
INFERENCE_SCRIPTS = ("run.sh", "infer.sh", "job.sh")


def package_folder(build: Path, target: str) -> Path:
    """Where the package of a target is."""
    return build / f"package-{target}"


def build_package(
    target: str,
    model_name: str,
    runtime: Path,
    model: Path,
    dataset: Path,
    build: Path,
    engines: Sequence[str],
    runner: Runner,
    extra: Mapping[str, bytes] = MappingProxyType({}),
) -> Path:
    """Makes build/package-<target>/ of the folders that the other stages wrote; kept while none of them changed.

    Args:
      target: the name of the target.
      model_name: what the manifest says of it.
      runtime: folder of the runtime stage.
      model: folder of the lowering stage.
      dataset: folder of the convert stage.
      build: takes the package.
      engines: what can train there: parts of others are left out.
      runner: what trains there: its files by their paths in the package.
      extra: further files of the package by name.
    """
    folder = package_folder(build, target)
    stamps = [(part / STAMP).read_text() for part in (runtime, model)]
    key = key_of(program_digest(), target, model_name, stamps, dataset.name, _digests(runner), sorted(extra.items()))
    build_once(
        folder, key, lambda: _assemble(target, model_name, runtime, model, dataset, folder, engines, runner, extra)
    )
    return folder


def build_fleet_package(
    target: str, model_name: str, runtime: Path, model: Path, dataset: Path | None, folder: Path
) -> None:
    """Makes the package of one device of a fleet; what it has in common with others are hard links.

    Args:
      target: the name of the target.
      model_name: what the manifest says of it.
      runtime: folder of the runtime stage.
      model: folder of the lowering stage.
      dataset: the device's images; None where they lie on the device.
      folder: the package; kept while nothing of it changed.
    """
    runner = python_runner(_FLEET_SCRIPTS)
    stamps = [(part / STAMP).read_text() for part in (runtime, model, *([dataset] if dataset else []))]
    key = key_of(program_digest(), target, model_name, stamps, _digests(runner))
    build_once(folder, key, lambda: _assemble_linked(target, model_name, runtime, model, dataset, folder, runner))


def _assemble_linked(
    target: str, model_name: str, runtime: Path, model: Path, dataset: Path | None, folder: Path, runner: Runner
) -> None:
    with new_folder(folder) as temporary:
        _add_runner(runtime, temporary, runner, os.link)
        _copy(model, temporary / "model", os.link)
        _leave_out_reference(temporary)
        if dataset:
            _copy(dataset, temporary / "dataset", os.link)
        write_manifest(temporary, Manifest(target, model_name, describe(temporary), read_versions(runtime)))


def build_inference_package(target: str, runtime: Path, build: Path) -> Path:
    """Makes build/inference-<target>/, which takes a trained model and images each time that it is asked.

    Args:
      target: the name of the target.
      runtime: folder of the runtime stage.
      build: takes the package.
    """
    folder = build / f"inference-{target}"
    runner = python_runner(INFERENCE_SCRIPTS)
    key = key_of(program_digest(), target, (runtime / STAMP).read_text(), _digests(runner))
    build_once(folder, key, lambda: _assemble_inference(target, runtime, folder, runner))
    return folder


def _assemble_inference(target: str, runtime: Path, folder: Path, runner: Runner) -> None:
    with new_folder(folder) as temporary:
        _add_runner(runtime, temporary, runner)
        write_manifest(temporary, Manifest(target, "", describe(temporary), read_versions(runtime)))


def _add_runner(runtime: Path, folder: Path, runner: Runner, copy_file: CopyFile = shutil.copy2) -> None:
    _copy(runtime, folder / "runtime", copy_file)
    for name, source in runner.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, folder / name)


def _digests(runner: Runner) -> list[tuple[str, str]]:
    return [(name, sha256_of(source)) for name, source in sorted(runner.items())]


def _assemble(
    target: str,
    model_name: str,
    runtime: Path,
    model: Path,
    dataset: Path,
    folder: Path,
    engines: Sequence[str],
    runner: Runner,
    extra: Mapping[str, bytes],
) -> None:
    with new_folder(folder) as temporary:
        _add_runner(runtime, temporary, runner)
        _copy(dataset, temporary / "dataset")
        _copy(model, temporary / "model")
        if "reference" not in engines:
            _leave_out_reference(temporary)
        for name, content in extra.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).write_bytes(content)
        manifest = Manifest(target, model_name, describe(temporary), read_versions(runtime))
        write_manifest(temporary, manifest)
        # The cache's files are named by what they were made from, so a new package finds those that it can still use;
        # what a training left there may not have been pulled yet.
        for kept in (CACHE, OUTPUT):
            if (folder / kept).is_dir():
                (folder / kept).rename(temporary / kept)


def _leave_out_reference(package: Path) -> None:
    shutil.rmtree(package / "model" / "reference", ignore_errors=True)
    (package / "device_runtime" / "engines" / "reference.py").unlink(missing_ok=True)


def _copy(source: Path, destination: Path, copy_file: CopyFile = shutil.copy2) -> None:
    ignored = shutil.ignore_patterns(STAMP, "__pycache__")
    shutil.copytree(source, destination, ignore=ignored, copy_function=copy_file)
