"""The host's stages in one call, and an engine on what they made."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from device_runtime.engines.lowered import LoweredEngine
from device_runtime.formats.checkpoint import Checkpoint, read_checkpoint, untrained_name
from device_runtime.formats.model import read_model
from device_runtime.formats.sample import Sample, Target, drawn, drawn_targets, one_class
from pipeline.capture.export import export
from pipeline.capture.onnx.artifacts import build_artifacts
from pipeline.checking.check import Made, compare
from pipeline.checking.differences import Measured
from pipeline.checking.images import batches_of, sizes_for
from pipeline.checking.observed import Batch
from pipeline.graphs.files import is_joint
from pipeline.lowering.model_folder import build_model_folder
from pipeline.recipe import Recipe
from pipeline.sources.model_source import ModelSource, find_model


def module_of(text: str, folder: Path) -> ModelSource:
    """A Python file with this text, whose `network()` is the model."""
    (folder / "own.py").write_text(text)
    return find_model(f"{folder / 'own.py'}:network")


def build(
    source: ModelSource, recipe: Recipe, pixels: Sample, classes: int | Target, folder: Path, seed: int = 1
) -> Path:
    """Fills `folder` with export/, artifacts/ and model/, which is compared with torch; returns the last."""
    built = build_unchecked(source, recipe, pixels, classes, folder, seed)
    check(source, recipe, pixels, classes, folder, seed)
    return built


def build_unchecked(
    source: ModelSource,
    recipe: Recipe,
    pixels: Sample,
    classes: int | Target,
    folder: Path,
    seed: int = 1,
    reference: bool = False,
) -> Path:
    """Fills `folder` with export/, artifacts/ where they are needed, and model/; returns the last."""
    target = target_of(classes)
    exported, artifacts, model = (folder / name for name in ("export", "artifacts", "model"))
    export(source, recipe, pixels, target, seed, exported, reference)
    made = artifacts if reference or not is_joint(exported) else None
    if made:
        build_artifacts(exported, recipe, target.count, made)
    build_model_folder(source.name, recipe, pixels, target, exported, made, model)
    return model


def check(
    source: ModelSource, recipe: Recipe, pixels: Sample, classes: int | Target, folder: Path, seed: int = 1
) -> Measured:
    """What the check finds in a folder that `build_unchecked` filled, with random images."""
    made, batches = made_in(folder), random_batches(recipe, pixels, classes, folder, seed)
    return compare(source, recipe, target_of(classes), seed, batches, made)[1]


def target_of(classes: int | Target) -> Target:
    """One of so many classes, or the target itself."""
    return one_class(classes) if isinstance(classes, int) else classes


def made_in(folder: Path) -> Made:
    """What `build_unchecked` filled a folder with."""
    return Made(*(folder / name for name in ("export", "artifacts", "model")))


def random_batches(recipe: Recipe, pixels: Sample, classes: int | Target, folder: Path, seed: int = 1) -> list[Batch]:
    """Random images for a check of what is in a folder."""
    random = np.random.default_rng(seed)
    sizes = sizes_for(recipe.batch_size, made_in(folder).export)
    images = [(drawn(pixels, size, random), drawn_targets(target_of(classes), size, random)) for size in sizes]
    return batches_of(images, made_in(folder).export / "preprocess.onnx")


def untrained(folder: Path) -> Checkpoint:
    """The checkpoint that a model folder starts with."""
    model = read_model(folder)
    return read_checkpoint(folder / untrained_name(model), model)


def open_engine(folder: Path, batch_size: int, threads: int = 1, start: Checkpoint | None = None) -> LoweredEngine:
    """The lowered engine on a model folder, untrained or from a checkpoint."""
    return LoweredEngine(folder, read_model(folder), start or untrained(folder), batch_size, threads)
