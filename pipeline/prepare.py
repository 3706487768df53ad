"""The stages on the host in their order: convert → export → artifacts → model folder → runtime → package."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from device_runtime.formats.dataset import Description, read_description
from device_runtime.formats.model import read_model
from device_runtime.formats.sample import CLASS, Sample, Target
from pipeline.capture.onnx.artifacts import build_artifacts, check_reference_model, check_reference_optimizer
from pipeline.datasets.convert import ConvertOptions, convert, look_at
from pipeline.datasets.layouts import described, layouts
from pipeline.datasets.photographs.account import Account, lines_of, read_account
from pipeline.datasets.photographs.preparation import FILE_NAME as PREPARATION
from pipeline.errors import UsageError
from pipeline.files import sha256_of
from pipeline.graphs.files import is_joint
from pipeline.machine.memory import return_what_is_freed
from pipeline.packing.package import build_package
from pipeline.progress import counted, note, stage
from pipeline.recipe import Preprocessing, Recipe, fitting
from pipeline.settings import Settings
from pipeline.sources.loop_file import loop_files
from pipeline.sources.model_source import ModelSource, find_model, own_recipe, recipe_of, with_weights
from pipeline.stages import build_once, key_of, program_digest

COLOURS = 3


@dataclass(frozen=True)
class Prepared:
    """A model and a dataset that fit each other, with `images` to train on, the weights' seed, the stages' folders.

    `reference` asks for onnxruntime-training's artifacts of a torch module, which its own engine and the bench need.
    """

    source: ModelSource
    recipe: Recipe
    sample: Sample
    target: Target
    seed: int
    dataset: Path
    images: int
    export: Path
    artifacts: Path
    model: Path
    reference: bool = False

    @cached_property
    def key(self) -> str:
        """A digest of all that the export is made of."""
        files = [sha256_of(path) for path in self.source.files()]
        return key_of(program_digest(), self.source, files, self.recipe, self.sample, self.target, self.seed)


def prepare(settings: Settings) -> Prepared:
    """Converts the dataset and names the folders of the later stages; runs none of them yet.

    Raises:
      DatasetError, UsageError, ModelError: the dataset or the model cannot be read.
    """
    # Before the conversion, which may take long: a wrong name is to be told at once.
    source = with_weights(find_model(settings.model, settings.head, settings.backbone), settings.weights)
    chosen(Recipe(Preprocessing(1, 1)), settings)
    loop_files(settings.runner.loop)
    own = own_recipe(source)
    categories = settings.categories or (own.categories if own else None)
    return prepared_on(convert_data(replace(settings, categories=categories)), source, settings)


def convert_data(settings: Settings) -> Path:
    """Runs the convert stage if its inputs changed; returns the dataset's folder.

    Raises:
      DatasetError, UsageError: the dataset cannot be read.
    """
    with counted("convert") as on_progress:
        # What it warns of is said below, with the rest.
        folder = convert(settings.data, settings.build, _how(settings), on_progress, lambda line: None)
    _tell(read_description(folder), read_account(folder), settings)
    return folder


def look_at_data(settings: Settings) -> None:
    """Says what the convert stage would make of the data, and writes nothing.

    Raises:
      DatasetError, UsageError: it would be refused.
    """
    with counted("convert") as on_progress:
        looked = look_at(settings.data, _how(settings), on_progress)
    _tell(looked.description, looked.account, settings)


def _how(settings: Settings) -> ConvertOptions:
    return ConvertOptions(
        classes=settings.classes,
        background=settings.background,
        target_column=settings.target_column,
        group_column=settings.group_column,
        categories=chosen(Recipe(Preprocessing(1, 1)), settings).categories,
    )


def _tell(description: Description, account: Account, settings: Settings) -> None:
    for line in lines_of(description, account, settings.runner.verbose):
        note(line)


def prepared_on(dataset: Path, source: ModelSource, settings: Settings) -> Prepared:
    """A model and a dataset that is converted already."""
    return_what_is_freed()
    description = read_description(dataset)
    _check_channels(description, source, settings)
    _check_counts(description)
    recipe = fitting(chosen(recipe_of(source, description.sample), settings), description.target)
    if settings.runner.engine == "reference":
        from pipeline.capture.export import check_plain

        check_plain(source, recipe, description.sample, description.target)
    folder = settings.build / source.name
    return Prepared(
        source,
        recipe,
        description.sample,
        description.target,
        settings.seed,
        dataset,
        description.counts.get("train", 0),
        folder / "export",
        folder / "artifacts",
        folder / "model",
        settings.runner.engine == "reference",
    )


def check_run(prepared: Prepared, settings: Settings) -> None:
    """Refuses what the runner would refuse after everything is built; exports, to know it.

    Raises:
      UsageError: there are fewer training images than one step takes, or the reference engine cannot train the model.
    """
    size = (settings.runner.batch_size or prepared.recipe.batch_size) * (settings.runner.accumulate or 1)
    if size > prepared.images:
        raise UsageError(
            f"the training split has {prepared.images} images, a step takes {size}: give a smaller --batch-size"
        )
    if settings.runner.engine == "reference":
        check_reference_model(export_model(prepared))


def export_model(prepared: Prepared) -> Path:
    """Runs the export stage if its inputs changed; returns its folder."""
    from pipeline.capture.export import export

    with stage("export"):
        build_once(
            prepared.export,
            key_of("export", prepared.key, prepared.reference),
            lambda: export(
                prepared.source,
                prepared.recipe,
                prepared.sample,
                prepared.target,
                prepared.seed,
                prepared.export,
                prepared.reference,
            ),
        )
    return prepared.export


def make_artifacts(prepared: Prepared) -> Path:
    """Runs the artifacts stage, and before it the export, if their inputs changed; returns its folder."""
    export_model(prepared)
    with stage("artifacts"):
        build_once(
            prepared.artifacts,
            key_of("artifacts", prepared.key),
            lambda: build_artifacts(prepared.export, prepared.recipe, prepared.target.count, prepared.artifacts),
        )
    return prepared.artifacts


def _artifacts_for_lowering(prepared: Prepared, settings: Settings) -> Path | None:
    """onnxruntime-training's artifacts: of an ONNX file the gradients, of a torch module those of `--engine reference`.

    None of a torch module where nobody asks for that engine.
    """
    export_folder = export_model(prepared)
    if is_joint(export_folder):
        if settings.runner.engine != "reference":
            return None
        check_reference_model(export_folder)
    return make_artifacts(prepared)


def make_model(prepared: Prepared, settings: Settings) -> Path:
    """Runs every stage up to the model folder of a package, and the check, if their inputs changed; returns the folder.

    Raises:
      ModelError: the model cannot be trained, or it is another network than torch, or its file, has.
    """
    from pipeline.lowering.model_folder import build_model_folder

    artifacts = _artifacts_for_lowering(prepared, settings)
    with stage("lower"):
        build_once(
            prepared.model,
            key_of("model", prepared.key, artifacts is None),
            lambda: build_model_folder(
                prepared.source.name,
                prepared.recipe,
                prepared.sample,
                prepared.target,
                prepared.export,
                artifacts,
                prepared.model,
            ),
        )
    if not settings.no_check:
        check_made(prepared)
        if settings.runner.engine == "reference":
            check_reference_made(prepared)
    return _quantised(prepared) if prepared.recipe.frozen_dtype == "int8" else prepared.model


def make_package(
    prepared: Prepared,
    settings: Settings,
    into: Path | None = None,
    extra: Mapping[str, bytes] = MappingProxyType({}),
) -> Path:
    """Runs every stage up to the package if its inputs changed; returns the package's folder.

    Args:
      prepared: what to package.
      settings: where things come from and go to.
      into: takes the package; None: the build folder.
      extra: further files of the package by name.
    """
    model = make_model(prepared, settings)
    runtime = make_runtime(settings)
    teaching = settings.kind.teaching() if _is_teachable(prepared, model) else {}
    with stage("package"):
        package = build_package(
            settings.kind.name,
            prepared.source.name,
            runtime,
            model,
            prepared.dataset,
            into or settings.build,
            settings.kind.engines,
            {**settings.kind.runner(), **teaching},
            {**extra, **loop_files(settings.runner.loop)},
        )
    if teaching:
        note("it can be taught classes of your own, in a browser: invoke teach")
    return package


def _is_teachable(prepared: Prepared, model: Path) -> bool:
    """Whether there is a frozen backbone, and photographs of other classes can be made to what it takes."""
    shown = prepared.sample.is_picture and prepared.target.is_one_class and (prepared.dataset / PREPARATION).is_file()
    return shown and read_model(model).features is not None


def _quantised(prepared: Prepared) -> Path:
    """Runs the quantise stage if its inputs changed, tells what it found and returns its folder."""
    from pipeline.lowering.int8 import line_of, quantise_backbone

    folder = prepared.model.parent / "model-int8"
    with stage("quantise"):
        build_once(
            folder,
            key_of("int8", prepared.key, prepared.dataset.name),
            lambda: quantise_backbone(prepared.model, prepared.dataset, folder),
        )
    note(line_of(folder))
    return folder


def check_made(prepared: Prepared) -> str:
    """Compares what was made with torch, or with the user's ONNX file, if its inputs changed; returns what was found.

    Raises:
      ModelError: it is another network.
    """
    from pipeline.checking.check import Made, check_model, line_of

    folder = prepared.model.parent / "check"
    made = Made(prepared.export, prepared.artifacts, prepared.model)
    with stage("check"):
        build_once(
            folder,
            key_of("check", prepared.key, prepared.dataset.name),
            lambda: check_model(
                prepared.source, prepared.recipe, prepared.target, prepared.seed, prepared.dataset, made, folder
            ),
        )
    line = line_of(folder)
    print(line, file=sys.stderr, flush=True)
    return line


def check_reference_made(prepared: Prepared) -> None:
    """Compares what the reference engine would train of a torch module with what was checked already.

    Raises:
      UsageError: it is another network.
    """
    from pipeline.checking.check import Made
    from pipeline.checking.images import draw_batches, sizes_for
    from pipeline.checking.reference_check import check_reference

    if not is_joint(prepared.export):
        return
    made = Made(prepared.export, prepared.artifacts, prepared.model)
    batches = draw_batches(
        prepared.dataset, sizes_for(prepared.recipe.batch_size, made.export), made.export / "preprocess.onnx"
    )
    with stage("check"):
        check_reference(prepared.recipe, prepared.target.count, batches, made)


def make_runtime(settings: Settings) -> Path:
    """Runs the runtime stage if its pins changed; returns its folder."""
    with stage("runtime"):
        return settings.kind.build_runtime(settings.build)


def chosen(recipe: Recipe, settings: Settings) -> Recipe:
    """The recipe with what the user chose instead.

    Raises:
      UsageError: a choice cannot be meant, or the engine lacks the optimizer.
    """
    # An option of the host that is named as a field of the recipe replaces it.
    choices = {field.name: getattr(settings, field.name, None) for field in fields(Recipe)}
    # A switch that is off says nothing; a 0 does.
    said = {name: choice for name, choice in choices.items() if choice is not None and choice is not False}
    replaced = replace(recipe, **said)
    if settings.runner.engine == "reference":
        check_reference_optimizer(replaced.optimizer)
    return replaced


def _check_channels(description: Description, source: ModelSource, settings: Settings) -> None:
    """Refuses MNIST, which is the data where none is given, for a backbone of photographs."""
    # The input of an ONNX file is known, and compared with the images later.
    own = source.backbone is not None and source.backbone.onnx_file is not None
    if settings.model == "transfer" and not own and description.sample.shape[2:] != (COLOURS,):
        expected = described([layout for layout in layouts() if layout.photographs])
        raise UsageError(
            f"--model transfer trains on photographs, the samples of {description.name} are {description.sample.text}: "
            f"give --data a folder that holds {expected}"
        )


def _check_counts(description: Description) -> None:
    if description.target.kind == CLASS and len(description.classes) < 2:
        raise UsageError(f"the dataset {description.name} has {len(description.classes)} class: training needs two")
