"""The stages on the host in their order: convert → export → artifacts → model folder → runtime → package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from device_runtime.formats.dataset import Description, read_description
from pipeline import python_file
from pipeline.artifacts import build_artifacts, check_reference_model, check_reference_optimizer
from pipeline.datasets.convert import PHOTOGRAPHS, ConvertOptions, convert
from pipeline.errors import UsageError
from pipeline.export import ModelSource, find_model, recipe_of
from pipeline.onnx_file import files_of
from pipeline.package import build_package
from pipeline.progress import Progress
from pipeline.recipe import Pixels, Preprocessing, Recipe, parse_optimizer, with_options
from pipeline.settings import Settings
from pipeline.stages import build_once, key_of, program_digest

COLOURS = 3


@dataclass(frozen=True)
class Prepared:
    """A model and a dataset that fit each other, its number of training images, and the folders of the stages."""

    source: ModelSource
    recipe: Recipe
    pixels: Pixels
    classes: int
    dataset: Path
    images: int
    export: Path
    artifacts: Path
    model: Path


def prepare(settings: Settings, progress: Progress) -> Prepared:
    """Converts the dataset and names the folders of the later stages; runs none of them yet.

    Raises:
      DatasetError, UsageError, ModelError: the dataset or the model cannot be read.
    """
    # Before the conversion, which may take long: a wrong name is to be told at once.
    source = find_model(settings.model, settings.head, settings.backbone)
    _chosen(Recipe(Preprocessing(1, 1)), settings)
    options = ConvertOptions(classes=settings.classes)
    with progress.counted("convert") as on_progress:
        dataset = convert(settings.data, settings.build, options, on_progress)
    return prepared_on(dataset, source, settings)


def prepared_on(dataset: Path, source: ModelSource, settings: Settings) -> Prepared:
    """A model and a dataset that is converted already."""
    description = read_description(dataset)
    _check_channels(description, source, settings)
    pixels = Pixels(description.height, description.width, description.channels)
    folder = settings.build / source.name
    return Prepared(
        source,
        _chosen(recipe_of(source, pixels), settings),
        pixels,
        _classes(description),
        dataset,
        sum(strip.count for strip in description.splits.get("train", ())),
        folder / "export",
        folder / "artifacts",
        folder / "model",
    )


def check_batch(prepared: Prepared, settings: Settings) -> None:
    """Refuses what the runner would refuse after everything is built.

    Raises:
      UsageError: there are fewer training images than one step takes.
    """
    size = (settings.batch_size or prepared.recipe.batch_size) * settings.accumulate
    if size > prepared.images:
        raise UsageError(
            f"the training split has {prepared.images} images, a step takes {size}: give a smaller --batch-size"
        )


def export_model(prepared: Prepared, settings: Settings, progress: Progress) -> Path:
    """Runs the export stage if its inputs changed; returns its folder."""
    from pipeline.export import export

    key = _export_key(prepared, settings)
    with progress.stage("export"):
        build_once(
            prepared.export,
            key,
            lambda: export(
                prepared.source, prepared.recipe, prepared.pixels, prepared.classes, settings.seed, prepared.export
            ),
        )
    return prepared.export


def make_artifacts(prepared: Prepared, settings: Settings, progress: Progress) -> Path:
    """Runs the artifacts stage, and before it the export, if their inputs changed; returns its folder."""
    export_model(prepared, settings, progress)
    if settings.engine == "reference":
        check_reference_model(prepared.export)
    key = key_of("artifacts", _export_key(prepared, settings))
    with progress.stage("artifacts"):
        build_once(
            prepared.artifacts,
            key,
            lambda: build_artifacts(prepared.export, prepared.recipe, prepared.classes, prepared.artifacts),
        )
    return prepared.artifacts


def make_package(
    prepared: Prepared,
    settings: Settings,
    progress: Progress,
    into: Path | None = None,
    extra: Mapping[str, bytes] = MappingProxyType({}),
) -> Path:
    """Runs every stage up to the package if its inputs changed; returns the package's folder.

    Args:
      prepared: what to package.
      settings: where things come from and go to.
      progress: names the stages.
      into: takes the package; None: the build folder.
      extra: further files of the package by name.
    """
    from pipeline.model_folder import build_model_folder

    make_artifacts(prepared, settings, progress)
    key = key_of("model", _export_key(prepared, settings))
    with progress.stage("lower"):
        build_once(
            prepared.model,
            key,
            lambda: build_model_folder(
                prepared.source.name,
                prepared.recipe,
                prepared.pixels,
                prepared.classes,
                prepared.export,
                prepared.artifacts,
                prepared.model,
            ),
        )
    runtime = make_runtime(settings, progress)
    with progress.stage("package"):
        return build_package(
            settings.target,
            prepared.source.name,
            runtime,
            prepared.model,
            prepared.dataset,
            into or settings.build,
            extra,
        )


def make_runtime(settings: Settings, progress: Progress) -> Path:
    """Runs the runtime stage if its pins changed; returns its folder."""
    with progress.stage("runtime"):
        if settings.target == "x86":
            from pipeline.runtime import build_x86

            return build_x86(settings.build)
        from pipeline.runtime_arm64 import build_arm64

        return build_arm64(settings.build)


def _chosen(recipe: Recipe, settings: Settings) -> Recipe:
    """The recipe with what the user chose instead.

    Raises:
      UsageError: a choice cannot be meant, or the engine lacks the optimizer.
    """
    optimizer = parse_optimizer(settings.optimizer) if settings.optimizer else None
    patterns = {"head": ("head.*",), "all": ("*",)}
    trainable = patterns.get(settings.trainable, tuple(settings.trainable.split(","))) if settings.trainable else None
    chosen = with_options(
        recipe,
        optimizer=optimizer,
        trainable=trainable,
        loss=settings.loss,
        label_smoothing=settings.label_smoothing,
        frozen_dtype=settings.frozen_dtype,
    )
    if settings.engine == "reference":
        check_reference_optimizer(chosen.optimizer)
    return chosen


def _export_key(prepared: Prepared, settings: Settings) -> str:
    source = prepared.source
    sources = [source, source.backbone] if source.backbone else [source]
    paths = [path for part in sources if part.onnx_file for path in files_of(part.onnx_file)]
    paths += [path for part in sources if part.python_file for path in python_file.files_of(part.python_file)]
    files = [path.read_bytes() for path in paths]
    return key_of(program_digest(), source, files, prepared.recipe, prepared.pixels, prepared.classes, settings.seed)


def _check_channels(description: Description, source: ModelSource, settings: Settings) -> None:
    """Refuses MNIST, which is the data where none is given, for a backbone of photographs."""
    # The input of an ONNX file is known, and compared with the images later.
    own = source.backbone is not None and source.backbone.onnx_file is not None
    if settings.model == "transfer" and not own and description.channels != COLOURS:
        raise UsageError(
            f"--model transfer trains on photographs, the images of {description.name} have {description.channels} "
            f"channel: give --data a folder that holds {PHOTOGRAPHS}"
        )


def _classes(description: Description) -> int:
    if len(description.classes) < 2:
        raise UsageError(f"the dataset {description.name} has {len(description.classes)} class: training needs two")
    return len(description.classes)
